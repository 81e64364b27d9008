"""The rules of the diagnosis: each reads a finished trace and gives findings, or nothing.

`RULES` is the table, gravest first. A rule is a generator of `Sighting`s, entered into the table
by the decorator `rule` with its constants: what it is called, why it matters, the cure, page
and section of the course. To add one, write the function in the module of its family, and a broken
loop with its repaired twin in `tests/package/loops`.
"""

from __future__ import annotations

from companion.diagnosis.rules import gradients, graphs, holders, losses, order, parameters
from companion.diagnosis.rules.table import TABLE, Rule, Sighting

_FAMILIES = [family.__name__ for family in (gradients, parameters, holders, order, graphs, losses)]

RULES = sorted(TABLE, key=lambda rule: _FAMILIES.index(rule.see.__module__))

__all__ = ["RULES", "Rule", "Sighting"]
