"""Where two rules would say the same, the more precise one speaks alone."""

from __future__ import annotations

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.never import never_steps
from companion.diagnosis.rules.unused import step_outside_loop

_SUPERSEDED = {
    "backward": {"no-backward", "clears-and-no-more", "no-gradient", "step-outside-loop"},
    "step": {"never-steps", "clears-and-no-more", "accumulates", "discarded"},
    "zero_grad": {"accumulates", "polluted"},
    "train": {"eval-mode"},
    "eval": {"evaluation-in-train-mode"},
}


def superseded(ledger: Ledger) -> set[str]:
    """Names of rules that would say the same again, and less precisely."""
    rules: set[str] = set()
    for _, event in ledger.of("not called"):
        rules |= _SUPERSEDED.get(event.details["method"], set())
    if any(True for see in (step_outside_loop, never_steps) for _ in see(ledger)):
        rules.add("discarded")
    return rules
