"""What to say of a name that is no rule's."""

from __future__ import annotations

import difflib

from companion.diagnosis.rules import RULES


def alike(name: str) -> str:
    """That no rule is called so, and which are called nearly so.

    Example:
        >>> alike("acumulates")
        "no rule is called 'acumulates'; did you mean accumulates?"
    """
    names = difflib.get_close_matches(name, [one.name for one in RULES], n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(names)}?" if names else "`companion rules` lists them"
    return f"no rule is called {name!r}; {hint}"
