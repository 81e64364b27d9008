"""Where two rules would say the same, the more precise one speaks alone."""

from __future__ import annotations

from collections.abc import Collection

from companion.diagnosis.ledger import Ledger

# A rule that speaks → those that would say it again.
_BY_RULE = {"step-outside-loop": {"discarded"}, "never-steps": {"discarded"}}
# A method that a line names and does not call → what follows from that.
_BY_METHOD = {
    "backward": {"no-backward", "clears-and-no-more", "no-gradient", "step-outside-loop"},
    "step": {"never-steps", "clears-and-no-more", "accumulates", "discarded"},
    "zero_grad": {"accumulates", "polluted"},
    "train": {"eval-mode"},
    "eval": {"evaluation-in-train-mode"},
}
# Where one of these speaks, others may be silent.
PRECISE = frozenset({*_BY_RULE, "not-called"})


def superseded(ledger: Ledger, speaking: Collection[str]) -> set[str]:
    """Names of rules that would say the same again, and less precisely.

    Args:
        ledger: The trace.
        speaking: Names of all rules that see something in it.
    """
    silent: set[str] = set()
    for name in speaking:
        silent |= _BY_RULE.get(name, set())
    for _, event in ledger.of("not called"):
        silent |= _BY_METHOD.get(event.details["method"], set())
    return silent
