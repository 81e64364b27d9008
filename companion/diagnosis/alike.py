"""The names of all rules, and what to say of one that is none of them."""

from __future__ import annotations

import difflib

from companion.diagnosis.ranks.rules import RANK_RULES
from companion.diagnosis.rules import RULES

NAMES = [*(rule.name for rule in RULES), *(rule.name for rule in RANK_RULES)]


def alike(name: str) -> str:
    """That no rule is called so, and which are called nearly so.

    Example:
        >>> alike("acumulates")
        "no rule is called 'acumulates'; did you mean accumulates?"
    """
    names = difflib.get_close_matches(name.lower(), NAMES, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(names)}?" if names else "`companion rules` lists them"
    return f"no rule is called {name!r}; {hint}"
