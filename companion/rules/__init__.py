"""The rules of the diagnosis: each reads a finished trace and gives findings, or nothing.

`RULES` is the table, gravest first. A rule is a generator of `Sighting`s, entered into the table
by the decorator `rule` with its constants: what it is called, why it matters, the cure, the
section of the course. To add one, write the function in the module of its family, and a broken
loop with its repaired twin in `tests/loops`.

What no rule can tell, because nothing outside shows it: wrong data or labels; a graph that is
cut for some layers only (unused layers look the same); a learning rate that is merely too large
or too small; clipping by hand in the wrong place; and mistakes inside code whose lines were
not watched.
"""

from companion.rules import gradients, graphs, losses, order, parameters
from companion.rules.table import TABLE, Rule, Sighting

_FAMILIES = [family.__name__ for family in (gradients, parameters, order, graphs, losses)]

RULES = sorted(TABLE, key=lambda rule: _FAMILIES.index(rule.see.__module__))

__all__ = ["RULES", "Rule", "Sighting"]
