"""The page of symptoms, read: its cases, and what happens when their code is run."""

from __future__ import annotations

import contextlib
import copy
import re
import textwrap
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch._C._distributed_c10d import HashStore
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

import companion
from companion import Trace
from tests import ROOT
from tests.chapters.glossary import sections

PAGE = (ROOT / "book/symptoms.md").read_text(encoding="utf-8")
SECTIONS = sections(PAGE)
CASE = re.compile(r"^```python\n(.*?)^```\n\nFinding: (.*?)\.$", flags=re.M | re.S)
LINK = r"\[`([\w-]+)`\]\([^)]+\)"
# What may stand behind "Finding: ": a rule; none; or none in a trace of the lines that are shown,
# and a rule when a whole script is run by the command: as it trains, or when it has ended; or when
# two processes are.
WHOLE = rf"none here; of a whole script {LINK}(, at its end)?"
SAID = re.compile(rf"none|{LINK}|{WHOLE}|none here; of two processes {LINK}")
LOOP = re.compile(r"^for (?:epoch in|.* in .*batches)", flags=re.M)
SCRIPT = """\
import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, StepLR
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
scaler = torch.amp.GradScaler("cpu")
samples = torch.randn(48, 4)
dataset = TensorDataset(samples, samples[:, :3].argmax(dim=1))
batches = [dataset[i : i + 8] for i in range(0, 48, 8)]
"""
TWO = """
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

dist.init_process_group("gloo")
batches = batches[dist.get_rank() :: 2]
"""


class Case(NamedTuple):
    """Code of the page.

    Attributes:
        section: The heading above it.
        code: The code.
        finding: The rule that the page names below it for a trace of its loop, or None.
        whole: The rule that it names for a whole script, or None.
        late: Whether that is found at the script's end only.
        two: The rule that it names for two processes, or None.
    """

    section: str
    code: str
    finding: str | None
    whole: str | None = None
    late: bool = False
    two: str | None = None


class Seen(NamedTuple):
    """What happened when it ran.

    Attributes:
        routine: Its trace.
        rules: What the diagnosis finds, each once.
        said: What was raised, and what PyTorch warned of.
        names: The variables in the end.
    """

    routine: Trace
    rules: set[str]
    said: list[str]
    names: dict[str, Any]


class TwoHeads(nn.Module):
    """Of its two heads only one is used, unless it is told to use both."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.both = False

    def forward(self, inputs: Tensor) -> Tensor:
        features = self.body(inputs).relu()
        outputs: Tensor = self.first(features)
        return outputs + self.second(features) if self.both else outputs


def cases() -> list[Case]:
    return [
        Case(heading, code, *understood(said))
        for heading, text in SECTIONS.items()
        for code, said in CASE.findall(text)
    ]


def understood(said: str) -> tuple[str | None, str | None, bool, str | None]:
    """What stands behind "Finding: ": of a trace, of a script, whether at its end, of two."""
    found = SAID.fullmatch(said)
    assert found, said
    finding, whole, late, two = found.groups()
    return finding, whole, late is not None, two


def names() -> dict[str, Any]:
    """What the page's code takes for granted."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    generator, discriminator, rnn, two_heads = (
        nn.Linear(2, 4),
        nn.Linear(4, 1),
        nn.RNN(4, 3),
        TwoHeads(),
    )
    inputs = [torch.randn(8, 4) for _ in range(6)]
    batches = [(x, x[:, :3].argmax(dim=1)) for x in inputs]
    return {
        "copy": copy,
        "torch": torch,
        "nn": nn,
        "F": F,
        "clip_grad_norm_": clip_grad_norm_,
        "CosineAnnealingLR": CosineAnnealingLR,
        "LambdaLR": LambdaLR,
        "StepLR": StepLR,
        "DataLoader": DataLoader,
        "DistributedDataParallel": DistributedDataParallel,
        "dist": distributed,
        "trace": companion.trace,
        "net": net,
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.1),
        "criterion": nn.CrossEntropyLoss(),
        "batches": batches,
        "dataset": TensorDataset(*(torch.cat(parts) for parts in zip(*batches, strict=True))),
        "scaler": torch.amp.GradScaler("cpu"),
        "rnn": rnn,
        "rnn_optimizer": torch.optim.SGD(rnn.parameters(), lr=0.1),
        "two_heads": two_heads,
        "generator": generator,
        "discriminator": discriminator,
        "optimizer_g": torch.optim.SGD(generator.parameters(), lr=0.1),
        "optimizer_d": torch.optim.SGD(discriminator.parameters(), lr=0.1),
        "bce": nn.BCEWithLogitsLoss(),
        "noise": torch.randn(8, 2),
        "real": torch.ones(8, 1),
        "fake": torch.zeros(8, 1),
    }


def see(code: str, folder: Path, steps: int = 1) -> Seen:
    """Run code of the page under a trace.

    Args:
        code: What stands before its loop is run before the trace; lines without a loop get one.
        folder: Where it is written, for a trace reads the source.
        steps: How often the six batches come.
    """
    before, rest = _parts(code)
    given = names()
    given["batches"] *= steps
    with alone() if re.search(r"\bDistributed|\bdist\.", code) else contextlib.nullcontext():
        return _see(before, rest, given, folder)


def script(code: str) -> str:
    """Code of the page as a script of its own."""
    return SCRIPT + "".join(_parts(code))


def script_of_two(code: str) -> str:
    """The same for two processes, each of which has batches of its own."""
    return f"{SCRIPT}{TWO}{''.join(_parts(code))}dist.destroy_process_group()\n"


def _parts(code: str) -> tuple[str, str]:
    """What stands before its loop, and the loop."""
    if loop := LOOP.search(code):
        return code[: loop.start()], code[loop.start() :]
    return "", "for inputs, labels in batches:\n" + textwrap.indent(code, "    ")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """A group of one process."""
    distributed.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _see(before: str, rest: str, given: dict[str, Any], folder: Path) -> Seen:
    said = []
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        exec(_compiled(before, folder / "before.py"), given)
        words = re.findall(r"\w+", rest)
        kinds = (nn.Module, torch.optim.Optimizer, torch.amp.GradScaler)
        watched = [
            name
            for name in dict.fromkeys(words)
            if isinstance(thing := given.get(name), kinds)
            and not (isinstance(thing, nn.Module) and not [*thing.parameters()])
        ]
        head = f"with trace({', '.join(watched)}) as routine:\n"
        try:
            exec(_compiled(head + textwrap.indent(rest, "    "), folder / "loop.py"), given)
        except (RuntimeError, TypeError, AttributeError, ValueError) as error:
            if "routine" not in given:
                raise
            said.append(str(error))
    routine = given["routine"]
    said += [str(one.message) for one in warned]
    return Seen(routine, {finding.rule for finding in routine.diagnose()}, said, given)


def _compiled(code: str, path: Path) -> CodeType:
    path.write_text(code, encoding="utf-8")
    return compile(code, str(path), "exec")


def run(words: str, folder: Path, steps: int = 1) -> Seen:
    """The case below these words of the page."""
    assert PAGE.count(words) == 1
    code = PAGE.partition(words)[2].partition("```python\n")[2].partition("```")[0]
    return see(code, folder, steps)
