"""A comment on a line accepts a finding there, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from companion import Trace, trace
from companion.diagnosis.ignored import EVERY, ignored, mistaken


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("a()  # companion: ignore[accumulates]", {"accumulates"}),
        ("a()  #companion:ignore[accumulates,polluted] until Monday", {"accumulates", "polluted"}),
        ("a()  # noqa  # companion: ignore[no-batch]", {"no-batch"}),
        ("a()  # companion: ignore", {EVERY}),
        ("a()  # companion: ignore, for it is meant", {EVERY}),
        ("a()  # companion: ignore accumulates", set()),  # no brackets: it would silence all
        ("a()  # companion: ignored", set()),
        ("a()", set()),
        ("a('# companion: ignore[accumulates]')", set()),
        ("a(  # companion: ignore[accumulates]\n    b,\n)", {"accumulates"}),
        ("a(\n    b,\n)  # companion: ignore[accumulates]", {"accumulates"}),
        ("for x in batches:  # companion: ignore[used-up]", {"used-up"}),
        ("with (  # companion: ignore[used-up]", {"used-up"}),
    ],
)
def test_what_a_comment_silences(source: str, names: set[str]) -> None:
    assert ignored(source) == names


def test_what_a_comment_cannot_silence_is_said() -> None:
    (unknown,) = mistaken("a()  # companion: ignore[acumulates, polluted]")
    assert unknown == "no rule is called 'acumulates'; did you mean accumulates?"
    (bare,) = mistaken("a()  # companion: ignore accumulates")
    assert bare == "rules stand in brackets: # companion: ignore[rule]"
    assert not [*mistaken("a()  # companion: ignore[polluted]"), *mistaken("a()")]


def test_a_trace_keeps_it_apart(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    total: float | torch.Tensor = 0
    with trace(net, optimizer) as routine:
        for _ in range(4):
            loss = net(torch.ones(4, 2)).square().mean()
            loss.backward()  # companion: ignore[accumulates]
            optimizer.step()
            total += loss  # companion: ignore[accumulates]
    routine.save(tmp_path / "trace.json")
    for one in routine, Trace.load(tmp_path / "trace.json"):
        assert [finding.rule for finding in one.diagnose()] == ["graph-kept"]
        (accepted,) = one.ignored
        assert (accepted.rule, accepted.source[:15]) == ("accumulates", "loss.backward()")
        last = f"ignored: 1 finding, by a comment: accumulates, line {accepted.line}"
        assert str(one).endswith(f"\n\n{last}")
        assert "^ accumulates" not in str(one)
        assert "<strong>accumulates" not in one.play().html
