"""A cure that names the reader's own things: followed to the letter, the finding is gone."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path
from typing import Any

import pytest

from companion import Trace, trace
from tests.package.diagnosis.cures import CLIPS, GRADIENTS, PARAMETERS, Case
from tests.package.diagnosis.cures_in_own_words import IN_WORDS, OWN_WORDS
from tests.package.diagnosis.cures_of_twice import TWICE

SETUP = """\
import torch
from torch import nn
from torch.nn import functional as F
torch.manual_seed(0)
"""


def run(tmp_path: Path, script: str) -> tuple[Trace, Exception | None]:
    path = tmp_path / "loop.py"
    path.write_text(SETUP + textwrap.dedent(script))
    variables: dict[str, Any] = {"trace": trace, "__name__": "loop"}
    failure: Exception | None = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(path.read_text(), str(path), "exec"), variables)
    except RuntimeError as error:
        failure = error
    return variables["routine"], failure


ORDER = {
    "actor and critic in one network": Case(
        "step-before-backward",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 3))
        agent = torch.optim.Adam(net.parameters())
        with trace(net, agent) as routine:
            for _ in range(3):
                out = net(torch.randn(5, 3))
                actor_loss, critic_loss = out[:, :2].mean(), out[:, 2].square().mean()
                agent.zero_grad()
                actor_loss.backward(retain_graph=True)
                agent.step()
                critic_loss.backward()
        """,
        "critic_loss.backward()\nagent.step()",
        "agent.step()\n                critic_loss.backward()",
        "critic_loss.backward()\n                agent.step()",
    ),
    "warm-up from 0": Case(
        "step-before-backward",
        """
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        sgd = torch.optim.SGD(net.parameters(), lr=0.0)
        net(torch.randn(5, 3)).mean().backward()
        with trace(net, sgd) as routine:
            for _ in range(2):
                loss = net(torch.randn(5, 3)).square().mean()
                sgd.step()
                sgd.zero_grad()
                loss.backward()
        """,
        "loss.backward()\nsgd.step()",
        "sgd.step()\n                sgd.zero_grad()\n                loss.backward()",
        "sgd.zero_grad()\n                loss.backward()\n                sgd.step()",
        "it wrote into 4 parameters (with this learning rate the same values)",
    ),
    "a generator's score": Case(
        "step-before-backward",
        """
        gen = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3))
        disc = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
        with trace(gen, disc, opt_g, opt_d) as routine:
            for _ in range(3):
                fake = gen(torch.randn(4, 2))
                score = disc(fake)
                opt_d.zero_grad()
                d_loss = (F.softplus(score) + F.softplus(-disc(torch.randn(4, 3)))).mean()
                d_loss.backward(retain_graph=True)
                opt_d.step()
                opt_g.zero_grad()
                g_loss = F.softplus(-score).mean()
                g_loss.backward()
                opt_g.step()
        """,
        "score = disc(fake)  # again, after opt_d.step()",
        "opt_d.step()",
        "opt_d.step()\n                score = disc(fake)",
    ),
}
CASES = {**TWICE, **ORDER, **GRADIENTS, **CLIPS, **PARAMETERS, **OWN_WORDS}


@pytest.mark.parametrize("name", CASES)
def test_the_cure_is_right_for_this_loop(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    routine, _ = run(tmp_path, case.script)
    finding = next(one for one in routine.diagnose() if one.rule == case.rule)
    assert finding.cure == case.cure
    assert case.says in finding.observed
    assert case.script.count(case.old) == 1
    repaired = case.script.replace(case.old, case.new)
    for line in (one.partition("  #")[0] for one in case.cure.splitlines()):
        assert line.strip() == "..." or line.strip() in repaired
    routine, failure = run(tmp_path, repaired)
    assert failure is None
    assert not [str(one) for one in routine.diagnose()]


@pytest.mark.parametrize("name", IN_WORDS)
def test_no_code_that_would_be_wrong(tmp_path: Path, name: str) -> None:
    rule, script, cure = IN_WORDS[name]
    routine, _ = run(tmp_path, script)
    finding = next(one for one in routine.diagnose() if one.rule == rule)
    assert finding.cure == cure


BELOW = """
        net = nn.Linear(3, 1)
        opt = torch.optim.SGD(net.parameters(), lr=0.1)
        amp = torch.amp.GradScaler("cpu", init_scale=4.0)
        with trace(net, opt, amp) as routine:
            for i in range(6):
                loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)) / 2
                SCALED(loss).backward()
                nn.utils.clip_grad_norm_(net.parameters(), LIMIT)
                if i % 2:
                    STEP(opt)
                    opt.zero_grad()
"""
PLAIN = BELOW.replace("SCALED", "").replace("STEP(opt)", "opt.step()")
SCALED = BELOW.replace("SCALED", "amp.scale").replace("STEP(opt)", "amp.step(opt); amp.update()")


@pytest.mark.parametrize(
    ("rule", "script", "clipped", "below"),
    [
        (
            "clip-before-backward",
            PLAIN,
            "it clipped the sum of 1 of 2 backward calls, norm 0.001 then; the others",
            "it found the sum of 1 of 2 backward calls below the limit, norm ",
        ),
        (
            "clip-before-unscale",
            SCALED,
            "it clipped gradients that are still scaled by 4: their norm was ",
            "it found gradients that are still scaled by 4 below the limit and changed nothing",
        ),
    ],
)
def test_clipped_is_said_where_it_was(
    tmp_path: Path, rule: str, script: str, clipped: str, below: str
) -> None:
    for limit, says in ("0.001", clipped), ("1000.0", below):
        routine, _ = run(tmp_path, script.replace("LIMIT", limit))
        finding = next(one for one in routine.diagnose() if one.rule == rule)
        assert finding.observed.startswith(says)


def test_no_cure_where_the_code_stands_like_that_already(tmp_path: Path) -> None:
    """Each micro-batch clips and calls step(), which decides by itself when it is one."""
    script = """
        net = nn.Linear(3, 1)
        class Every2:
            def __init__(self):
                self.inner, self.calls = torch.optim.SGD(net.parameters(), lr=0.1), 0
            def step(self):
                self.calls += 1
                if self.calls % 2 == 0:
                    self.inner.step()
                    self.inner.zero_grad()
        opt = Every2()
        with trace(net, opt.inner) as routine:
            for i in range(6):
                loss = F.mse_loss(net(torch.randn(5, 3)), torch.randn(5, 1)) / 2
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 0.01)
                opt.step()
        """
    routine, _ = run(tmp_path, script)
    (finding,) = routine.diagnose()
    assert (finding.rule, finding.cure) == ("clip-before-backward", "")
