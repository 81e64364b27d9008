"""The rules of the diagnosis: each reads a finished trace and gives findings, or nothing.

`RULES` is the table, gravest first. A rule is a generator of `Sighting`s, entered into the table
by the decorator `rule` with its constants: what it is called, why it matters, the cure, page
and section of the course. To add one, write the function in the module of its family, and a broken
loop with its repaired twin in `tests/package/loops`.
"""

from __future__ import annotations

from companion.diagnosis.rules import (
    clips,
    cuts,
    data,
    feeds,
    gradients,
    graphs,
    holders,
    kept,
    losses,
    modes,
    never,
    nonfinite,
    noops,
    order,
    parameters,
    rates,
    unused,
)
from companion.diagnosis.rules.superseded import superseded
from companion.diagnosis.rules.table import TABLE, Rule, Sighting

_ORDER = (
    never, gradients, unused, parameters, holders, nonfinite, cuts, rates, order, clips,
    noops, graphs, kept, feeds, losses, modes, data,
)  # fmt: skip
_FAMILIES = [family.__name__ for family in _ORDER]

RULES = sorted(TABLE, key=lambda rule: _FAMILIES.index(rule.see.__module__))

__all__ = ["RULES", "Rule", "Sighting", "superseded"]
