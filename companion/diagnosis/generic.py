"""A rule's own cure, in the course's names: given where the reader's lines have these names too."""

from __future__ import annotations

import ast
import builtins
import re

from companion.diagnosis.ledger import Ledger
from companion.records.parse import tree_of

_KNOWN = {"torch", "nn", "F", "self", *vars(builtins)}


def fitting(ledger: Ledger, cure: str) -> str:
    """The cure; "" where it reads a name, or has a number, that no watched line has."""
    wanted = _words(cure)
    there = {word for r in ledger.records for word in re.findall(r"\w[\w.]*", r.source)}
    parts = {part for word in there for part in word.split(".")}
    return cure if wanted <= there | parts else ""


def _words(cure: str) -> set[str]:
    """The names that code reads and has not bound itself, and its numbers, as they are written."""
    tree, found, bound = tree_of(cure), set[str](), set[str]()
    for statement in [] if tree is None else tree.body:
        nodes = [*ast.walk(statement)]
        names = [node for node in nodes if isinstance(node, ast.Name)]
        own = {node.id for node in names if isinstance(node.ctx, ast.Store)}
        bound |= own if isinstance(statement, ast.For) else set()
        found |= {node.id for node in names if isinstance(node.ctx, ast.Load)} - bound
        bound |= own
        values = [node.value for node in nodes if isinstance(node, ast.Constant)]
        found |= {str(one) for one in values if type(one) in (int, float)}
    return found - _KNOWN
