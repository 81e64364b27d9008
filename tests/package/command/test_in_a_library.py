"""A loop that stands in a library: reported by its parts, with the user's own lines."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.package.command.library import script
from tests.package.command.running import Start

MINE = """\
class Mine(Trainer):
    def compute_loss(self, x, y):
        out = self.net(x)
        loss = nn.functional.binary_cross_entropy_with_logits(out.sigmoid(), (y > 0).float())
        return loss
"""

LIT = """\
class Lit(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.seen = net, []
    def forward(self, x):
        return self.through(x)
    def through(self, x):
        return self.net(x)
    def loss(self, x, y):
        out = self(x)
        loss = nn.functional.mse_loss(out, y)
        self.seen.append(loss)
        return loss
lit = Lit()
"""


def report(err: str) -> list[str]:
    """The lines of a report up to its first finding."""
    return err.split("\n\n")[0].splitlines()


@pytest.mark.usefixtures("source")
def test_the_parts_of_a_loop(start: Start, tmp_path: Path) -> None:
    schedule = "scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)\n"
    line = "Trainer(net, optimizer, scheduler, clip=100.0).fit(batches)"
    lines = script(tmp_path, schedule + line + "\n")
    alone = start("script.py", alone=True)
    ran = start("script.py")
    assert (alone.code, alone.out) == (ran.code, ran.out) == (0, "")
    shown = [re.sub(r"\b[0-9.]+(?= →|$)", "N", line) for line in report(ran.err)]
    assert shown == [
        "companion: watched 3 steps inside tiny.Trainer.fit(), no findings",
        f"your line: script.py:{len(lines)}  {line}",
        "  4 parameters, SGD, StepLR",
        "runs  where                  what           changed",
        "  3x  Trainer.compute_loss   forward, loss  loss N → N → N",
        "  3x  Trainer.training_step  backward       4 gradients, norm N",
        "  3x  Trainer.run            clip to 100    nothing: the norm was below",
        "  3x  optimizer              step           4 parameters",
        "  3x  StepLR                 step           lr N → … → N",
        "  3x  optimizer              zero_grad      4 gradients → None",
    ]
    assert "\n\nits lines: --into tiny.Trainer\n" in ran.err


def test_what_clips_says_so(start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer, clip=0.01).fit(batches)\n")
    assert "clip to 0.01   4 gradients, norm 0.01\n" in start("script.py").err


@pytest.mark.usefixtures("source")
def test_an_optimizer_that_calls_a_closure(start: Start, tmp_path: Path) -> None:
    """The loss, the clearing and the backward come within the optimizer's step."""
    script(tmp_path, "Trainer(net, optimizer, closure=True).fit(batches)\n")
    rows = [line.split()[:4] for line in report(start("script.py").err)[4:]]
    assert rows == [
        ["3x", "Trainer.compute_loss", "forward"],
        ["3x", "optimizer", "zero_grad", "4"],
        ["3x", "Trainer.closed", "backward", "loss"],
        ["3x", "optimizer", "step", "4"],
    ]


def test_steps_of_several_backwards(start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer, every=2).fit(batches)\n")
    err = start("script.py").err
    assert err.startswith("companion: watched 3 steps inside tiny.Trainer.fit(), no findings\n")
    assert "  6x  Trainer.training_step  backward" in err
    assert "  3x  optimizer              step" in err


def test_an_optimizer_that_is_not_torchs(start: Start, tmp_path: Path) -> None:
    body = "del optimizer\nTrainer(net, OwnOptimizer(net.parameters(), 0.1)).fit(batches)\n"
    script(tmp_path, body)
    err = start("script.py").err
    assert err.startswith("companion: watched 3 steps inside tiny.Trainer.fit(), no findings\n")
    assert "  3x  OwnOptimizer           step" in err
    assert "zero_grad      4 gradients → None" in err


def test_tests_between_the_steps(start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer, tests=True).fit(batches)\n")
    err = start("script.py").err
    assert err.startswith("companion: watched 3 steps inside tiny.Trainer.fit(), no findings\n")
    assert "forward, no gradients" in err


@pytest.mark.usefixtures("source")
def test_lines_of_the_users_own_in_the_library(start: Start, tmp_path: Path) -> None:
    lines = script(tmp_path, f"{MINE}Mine(net, optimizer, clears=False).fit(batches)\n")
    ran = start("--json", "report.json", "script.py")
    assert ran.code == 3
    told = json.loads((tmp_path / "report.json").read_text())
    where = {one["rule"]: lines[one["line"] - 1].strip() for one in told["findings"]}
    assert where == {
        "softmax-twice": lines[-3].strip(),
        "accumulates": lines[-1],
    }
    number = len(lines) - 2
    assert f"\n  3x  {number:4}  loss = nn.functional.binary_cross_entropy_with_" in ran.err
    assert "\n      # Mine.compute_loss, script.py\n" in ran.err
    parts = {one["phase"] for one in told["code"] if one["phase"]}
    assert "Trainer.training_step" in parts


@pytest.mark.usefixtures("source")
def test_what_a_wrappers_call_only_hands_on(start: Start, tmp_path: Path) -> None:
    """Lines of the user's are found by way of a wrapper's call; those of a forward are none."""
    lines = script(tmp_path, f"{LIT}Through(lit, optimizer, nn.DataParallel(lit)).fit(batches)\n")
    ran = start("--json", "report.json", "script.py")
    told = json.loads((tmp_path / "report.json").read_text())
    where = {one["rule"]: lines[one["line"] - 1].strip() for one in told["findings"]}
    assert where == {"graph-kept": "self.seen.append(loss)"}
    assert re.search(r"\n      # Lit.loss, script.py\n  3x +\d+  out = self\(x\) ", ran.err)
    assert "# Lit.through" not in ran.err


@pytest.mark.usefixtures("source")
def test_a_forward_with_a_library_around_it_is_still_one(start: Start, tmp_path: Path) -> None:
    head = f"{LIT}patch(lit)\nfor x, y in batches:\n"
    loop = "    optimizer.zero_grad()\n    lit.loss(x, y).backward()\n    optimizer.step()\n"
    script(tmp_path, head + loop)
    err = start("script.py").err
    assert "# Lit.loss, script.py\n" in err
    assert "# Lit.through" not in err


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("late", [False, True])
def test_a_cut_in_what_the_library_is_given(late: bool, start: Start, tmp_path: Path) -> None:
    cut = "self.net[0](x)\n        seen = out.detach()\n        out = self.net[2](seen)"
    body = MINE.replace("self.net(x)", cut).replace("out.sigmoid()", "out")
    script(tmp_path, f"{body}Mine(net, optimizer, late={late}).fit(batches)\n")
    ran = start("--json", "report.json", "script.py")
    (found,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert (found["rule"], found["source"]) == ("cut-between", "seen = out.detach()"), ran.err


PARTS = """\
class Lit(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 1)
        self.target = copy.deepcopy(self.encoder)
    def loss(self, x, y):
        {}
        return loss
lit = Lit()
sgd = torch.optim.SGD(lit.parameters(), lr=0.1)
class Calling(Trainer):
    def compute_loss(self, x, y):
        return self.net.loss(x, y)
"""
CUT = (
    "seen = self.encoder(x).detach()\n        loss = nn.functional.mse_loss(self.decoder(seen), y)"
)
COPY = """\
seen, aim = self.encoder(x), self.target(x).detach()
        loss = nn.functional.mse_loss(self.decoder(seen), y) + (seen - aim).square().mean()"""


@pytest.mark.parametrize("body", [CUT, COPY])
def test_a_part_that_is_cut_off_as_it_is_called(body: str, start: Start, tmp_path: Path) -> None:
    head = f"import copy\ndel net, optimizer\n{PARTS.format(body)}"
    script(tmp_path, f"{head}Calling(lit, sgd, late=True).fit(batches)\n")
    ran = start("--json", "report.json", "script.py")
    told = json.loads((tmp_path / "report.json").read_text())["findings"]
    found = [(one["rule"], one["source"], one["cure"]) for one in told]
    cut = ("cut-between", "seen = self.encoder(x).detach()", "seen = self.encoder(x)")
    assert found == ([cut] if body == CUT else []), ran.err


@pytest.mark.parametrize("end", ["loss = fit + wrong\n        return loss", "return fit + wrong"])
def test_a_constant_term_in_it(end: str, start: Start, tmp_path: Path) -> None:
    body = f"""\
class Mine(Trainer):
    def compute_loss(self, x, y):
        out = self.net(x)
        fit = nn.functional.mse_loss(out, y)
        wrong = (out.round() != y.round()).float().mean()
        {end}
Mine(net, optimizer, late=True).fit(batches)
"""
    script(tmp_path, body)
    ran = start("--json", "report.json", "script.py")
    (found,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert (found["rule"], found["source"][:9]) == ("constant-term", "wrong = ("), ran.err


def test_no_gradient_is_of_the_line_that_cut(start: Start, tmp_path: Path) -> None:
    body = """\
class Mine(Trainer):
    def compute_loss(self, x, y):
        loss = nn.functional.mse_loss(self.net(x), y)
        loss = torch.tensor(loss.item(), requires_grad=True)
        return loss
Mine(net, optimizer, every=2).fit(batches)
"""
    script(tmp_path, body)
    ran = start("--json", "report.json", "script.py")
    (found,) = json.loads((tmp_path / "report.json").read_text())["findings"]
    assert (found["rule"], found["source"][:19]) == ("no-gradient", "loss = torch.tensor"), ran.err
    assert "made loss of loss, and loss has no graph" in found["observed"]


def test_a_dead_layer_and_a_cut_between_layers(start: Start, tmp_path: Path) -> None:
    layers = "nn.Linear(4, 32), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1)"
    dead = f"wide = nn.Sequential({layers})\nnn.init.constant_(wide[1].bias, -100.0)\n"
    cut = """\
class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 32), nn.Linear(32, 1)
    def forward(self, x):
        return self.last(self.first(x).detach())
wide = Wide()
"""
    for rule, head in (("dead-layer", dead), ("cut-between", cut)):
        sgd = "Trainer(wide, torch.optim.SGD(wide.parameters(), 0.01)).fit(batches)\n"
        script(tmp_path, f"{head}{sgd}")
        ran = start("--json", "report.json", "script.py")
        told = json.loads((tmp_path / "report.json").read_text())["findings"]
        assert [one["rule"] for one in told] == [rule], ran.err


def test_where_the_first_step_is_watched_from(start: Start, tmp_path: Path) -> None:
    body = MINE.replace("        out =", "        x = x * 2\n        out =")
    lines = script(tmp_path, f"{body}Mine(net, optimizer, closure=True).fit(batches)\n")
    shown = report(start("script.py").err)
    number = lines.index("        out = self.net(x)") + 1
    assert shown[2] == f"  4 parameters, SGD, 3 steps, the first from line {number} on"
    script(tmp_path, "Trainer(net, optimizer).fit(batches)\n")
    assert report(start("script.py").err)[2] == "  4 parameters, SGD"


def test_what_only_goes_through_optimizers_runs_no_loop(start: Start, tmp_path: Path) -> None:
    body = """\
several = Stepper(optimizer)
for x, y in batches:
    several.zero_grad()
    nn.functional.mse_loss(net(x), y).backward()
    several.step()
"""
    script(tmp_path, body)
    err = start("script.py").err
    assert err.startswith("companion: watched 3 steps, no findings\nTrace of Sequential, ")


def test_into_follows_the_librarys_lines(start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer).fit(batches)\n")
    ran = start("--into", "tiny.Trainer", "--into", "tiny.Missing", "script.py")
    assert ran.err.startswith("companion: watched 3 steps, no findings\nTrace of Sequential, ")
    assert "# Trainer.training_step, trainer.py\n" in ran.err
    assert "loss = self.compute_loss(x, y) / self.every" in ran.err
    assert "not watched: --into tiny.Missing: nothing of that name was imported\n" in ran.err


@pytest.mark.parametrize("name", ["tiny.trainer", "tiny.trainer.Trainer.training_step"])
def test_into_a_module_and_a_function(name: str, start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer).fit(batches)\n")
    ran = start("--into", name, "script.py")
    assert ran.err.startswith("companion: watched 3 steps")
    assert "loss = self.compute_loss(x, y) / self.every" in ran.err


def test_stop(start: Start, tmp_path: Path) -> None:
    script(tmp_path, "Trainer(net, optimizer).fit(batches)\nprint('not reached')\n")
    ran = start("--stop", "--steps", "2", "script.py")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith("companion: watched 2 steps inside tiny.Trainer.fit(), no findings\n")


@pytest.mark.usefixtures("source")
def test_a_trace_of_such_a_line(start: Start, tmp_path: Path) -> None:
    body = """\
from companion import Trace, trace
trainer = Trainer(net, optimizer)
with trace(net, optimizer, every=2) as routine:
    trainer.fit(batches)
print(routine)
print(len({record.step for record in routine.records}))
routine.save("run.json")
again = Trace.load("run.json")
assert again.records == routine.records
assert str(again) == str(routine)
print(sorted({row["phase"] for row in routine.to_rows()}))
assert "# optimizer: step" in routine.play().html
"""
    script(tmp_path, body)
    out = start("script.py", alone=True).well().out
    assert "  4x  optimizer              step           4 parameters\n" in out
    assert "\n4\n" in out
    assert out.endswith("['', 'Trainer.compute_loss', 'Trainer.run', 'Trainer.training_step']\n")


def test_the_fixture(start: Start, tmp_path: Path) -> None:
    body = """\
from companion.integrations.testing import assert_trains
trace = assert_trains(Trainer(net, optimizer).fit, batches)
print(trace.records[1].phase.library)
for loop in Trainer(net, optimizer, clears=False).fit, list:
    try:
        assert_trains(loop, batches)
    except AssertionError as error:
        print(str(error).splitlines()[0])
"""
    script(tmp_path, body)
    assert start("script.py", alone=True).well().out.splitlines() == [
        "tiny.Trainer.fit",
        "fit: watched 3 steps inside tiny.Trainer.fit(), 1 finding",
        "list does not train: no step was seen",
    ]
