"""Each peer: how it is used, what a user adds to a script, and what it says of one.

Two kinds. One reads a folder of scripts and runs none. The other watches a run: its adapter puts
what its README asks for where `_watch` is called, with the networks and optimizers found there.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from peering.objects import pairs
from peering.recorded import batches

Said = list[str]
Watch = Callable[..., None]


@dataclass(frozen=True)
class Peer:
    """A package that says what is wrong with a training loop.

    Attributes:
        name: Of the package.
        edits: The lines that a user adds for one network and one optimizer.
        folder: What it says of the scripts of a folder, by their names; it runs none.
        run: What it says of a script that it watches: given the script and its edited text.
    """

    name: str
    edits: str = ""
    folder: Callable[[Path], dict[str, Said]] | None = None
    run: Callable[[str, str], Said] | None = None

    @property
    def version(self) -> str:
        """As it is installed; empty if it is not."""
        try:
            return version("training-routine" if self.name == "companion" else self.name)
        except PackageNotFoundError:
            return "of this repository" if self.name == "companion" else ""


def execute(text: str, watch: Watch | None = None) -> str:
    """Run a script, and return the error it ends in, if it does."""
    names = {"__name__": "__main__", "_watch": watch}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            exec(compile(text, "script.py", "exec", dont_inherit=True), names)
        except Exception as error:
            return str(error)
    return ""


# Those that run nothing.


def torch_preflight(folder: Path) -> dict[str, Said]:
    """Its notes are no findings: it never fails a build for them."""
    command = ["check", str(folder), "--format", "json", "--jobs", "1"]
    done = _module("torch_preflight", *command)
    said: dict[str, Said] = {}
    for one in json.loads(done)["diagnostics"]:
        if one["severity"] != "note":
            said.setdefault(Path(one["path"]).name, []).append(f"{one['code']} {one['message']}")
    return said


def torchfix(folder: Path) -> dict[str, Said]:
    """With the rules that are on by default."""
    said: dict[str, Said] = {}
    for row in _module("torchfix", str(folder), "--jobs", "1").splitlines():
        found = re.match(r"(.*\.py):\d+:\d+: (TOR\d+.*)", row)
        if found:
            said.setdefault(Path(found[1]).name, []).append(found[2])
    return said


def mldoct(folder: Path) -> dict[str, Said]:
    """As `mldoctor check` does, but its INFO, which it says of every script without a clipping."""
    lint = importlib.import_module("mldoctor.linter").lint_script
    return {
        path.name: [
            f"{one['type']} {one['message']}"
            for one in lint(str(path))[0]
            if one["severity"] != "INFO"
        ]
        for path in folder.glob("*.py")
    }


def _module(name: str, *arguments: str) -> str:
    """What it prints; it fails where it finds something."""
    command = [sys.executable, "-m", name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{name} ended with {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


# Those that watch a run.


def torch_audit(_: str, edited: str, every: int = 1) -> Said:
    """`autopatch`, at every step; its INFO is no finding."""
    autopatch = importlib.import_module("torch_audit").autopatch
    auditors: list[Any] = []

    def watch(*given: object) -> None:
        for net, optimizer in pairs(given):
            auditors.append(autopatch(net, optimizer=optimizer, every_n_steps=every))

    execute(edited, watch)
    found = [one for auditor in auditors for one in auditor.finish(report=False).findings]
    said = (f"{one.rule_id} {one.message}" for one in found if one.severity.value != "INFO")
    return list(dict.fromkeys(said))


def torcheck(_: str, edited: str) -> Said:
    """All its checks, where there is an optimizer; a frozen parameter should not change.

    That outputs are not all within 0 and 1, "aka softmax hasn't been applied before loss
    calculation", is asked of scripts with a cross entropy of logits.
    """
    module = importlib.import_module("torcheck")
    logits = re.search(r"cross_entropy\(|CrossEntropyLoss|WithLogits|with_logits", edited)

    def watch(*given: object) -> None:
        there = [(net, one) for net, one in pairs(given) if one is not None]
        for optimizer in {id(one): one for _, one in there}.values():
            module.register(optimizer)
        for net, _ in there:
            for name, p in net.named_parameters():
                if p.requires_grad or p in module.registry.tensor_to_optimizer:
                    module.add_tensor(
                        p, name, type(net).__name__, p.requires_grad, check_nan=True, check_inf=True
                    )
            module.registry._add_output_check(net, check_nan=True, check_inf=True)
            if logits:
                module.add_module_output_range_check(net, (0, 1), negate_range=True)

    error = execute(edited, watch)
    return error.splitlines() if re.search("should|contains|belong to any optim", error) else []


def torchtest2(_: str, edited: str) -> Said:
    """`check_model` before the training, with the first batch and loss that the script uses."""
    check = importlib.import_module("torchtest2").check_model
    recorded = batches(lambda watch: execute(edited, watch))
    said: Said = []

    class Enough(BaseException):
        """The check comes before the training, which is not run again."""

    def watch(*given: object) -> None:
        for place, (net, optimizer) in enumerate(pairs(given)):
            if place in recorded:
                report = check(net, optimizer=optimizer, **recorded[place])
                found = (one for one in report.results if one.status.value in ("WARN", "FAIL"))
                said.extend(f"{one.name} {one.message} ({one.status.value})" for one in found)
        raise Enough

    with contextlib.suppress(Enough):
        execute(edited, watch)
    return said


def companion(script: str, _: str) -> Said:
    """`companion script.py`."""
    from companion.command.main import main

    Path("script.py").write_text(script, encoding="utf-8")
    with contextlib.suppress(SystemExit, Exception):  # the script's own end
        main(["--json", "report.json", "script.py"])
    report = json.loads(Path("report.json").read_text(encoding="utf-8"))
    return [f"{one['rule']}: {one['observed']}" for one in report["findings"]]


AUDIT = """\
from torch_audit import autopatch
from torch_audit.reporters.console import ConsoleReporter
auditor = autopatch(net, optimizer=optimizer, every_n_steps=1, reporters=[ConsoleReporter()])
auditor.finish(report=True)
"""
CHECK = """\
import torcheck
torcheck.register(optimizer)
torcheck.add_module(net, changing=True, check_nan=True, check_inf=True)
torcheck.add_module_output_range_check(net, output_range=(0, 1), negate_range=True)
"""
TEST = """\
import torchtest2
inputs, labels = next(iter(batches))
print(torchtest2.check_model(net, inputs, labels, loss_fn=criterion, optimizer=optimizer))
"""
PEERS = [
    Peer("companion", run=companion),
    Peer("torch-preflight", folder=torch_preflight),
    Peer("mldoct", folder=mldoct),
    Peer("TorchFix", folder=torchfix),
    Peer("torch-audit", AUDIT, run=torch_audit),
    Peer("torcheck", CHECK, run=torcheck),
    Peer("torchtest2", TEST, run=torchtest2),
]


def prepare() -> None:
    """Import what the forks would each import, and be of one thread: a fork has no others."""
    torch.set_num_threads(1)
    watching = ["torch_audit", "torch_audit.runtime", "torcheck", "torchtest2"]
    for name in "torch._dynamo", "companion.command.main", *watching:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
