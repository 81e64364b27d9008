"""A sum of losses, and those of its terms that have no graph: to a backward they are constants."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType
from typing import Any

from torch import Tensor

from companion.isolation.objects import is_a
from companion.isolation.wall import is_calm
from companion.records.line import Event
from companion.records.parse import dotted, tree_of, unparsed
from companion.tracing.code.frames import UNKNOWN, value_of
from companion.tracing.events.graph import Node, grad_fn
from companion.tracing.events.values import numbers_in
from companion.tracing.measure.values import is_lazy, is_plain

_SUMS = ("AddBackward0", "SubBackward0")
_SCALED = ("MulBackward0", "DivBackward0")
_NUMBERS = {"float", "int", "len", "abs", "max", "min", "round"}  # Python's own functions
_EXPLICIT = {"item", "detach", "tolist", "numpy"}  # who writes this there means a constant


def is_begun(text: str, frame: FrameType) -> bool:
    """Whether a statement that adds to a variable begins with a number: `loss = 0; loss += ...`.

    Python then turns the sum round, and its first term is the second of the text.
    """
    target, expression, is_added = _sum(text)
    if not target or expression is None:
        return False
    own = is_added or any(dotted(node) == target for node in ast.walk(expression))
    return own and not is_a(value_of(target, frame), Tensor)


def after(text: str, frame: FrameType) -> Iterator[Event]:
    """The terms without a graph in the sum of losses that a statement has computed."""
    target, expression, is_added = _sum(text)
    if target == "" and expression is not None and is_calm():
        yield from _returned(expression, frame)
        return
    if target is None or expression is None or not is_calm():
        return
    value = value_of(target, frame)
    if not is_a(value, Tensor) or not is_plain(value) or is_lazy(value) or value.is_nested:
        return
    node = grad_fn(value)
    if node is None or value.numel() != 1:
        return
    if is_added:
        if node.name() not in _SUMS or len(node.next_functions) != 2:
            return
        pairs = _terms(expression, node.next_functions[1][0], frame)
    else:
        pairs = _terms(expression, node, frame)
    for term in pairs:
        yield from _event(target, term, frame)


@lru_cache(maxsize=4096)
def _sum(text: str) -> tuple[str | None, ast.expr | None, bool]:
    """What a statement assigns a sum to, that sum, and whether it is added to what was there."""
    tree = tree_of(text) if "+" in text or "-" in text else None
    body = tree.body if isinstance(tree, ast.Module) else []
    if len(body) == 1:
        one = body[0]
        if isinstance(one, ast.Assign) and len(one.targets) == 1:
            if any(isinstance(node, ast.BinOp) for node in ast.walk(one.value)):
                return dotted(one.targets[0]), one.value, False
        elif isinstance(one, ast.AugAssign) and isinstance(one.op, (ast.Add, ast.Sub)):
            return dotted(one.target), one.value, True
        elif isinstance(one, ast.Return) and isinstance(one.value, ast.BinOp):
            return "", one.value, False
    return None, None, False


def _returned(expression: ast.expr, frame: FrameType) -> Iterator[Event]:
    """The same for a sum that is returned: nobody sees it, but the variables that it is made of."""
    terms = list(_added(expression))
    values = [[_value(factor, frame) for factor in _factors(term)] for term in terms]
    tensors = [[one for one in v if is_a(one, Tensor) and is_plain(one)] for v in values]
    if not any(one.requires_grad for found in tensors for one in found):
        return
    for term, factors, found in zip(terms, values, tensors, strict=True):
        known = all(one is not UNKNOWN for one in factors)
        if known and found and not any(one.requires_grad or one.numel() != 1 for one in found):
            yield from _event("", term, frame)


def _event(target: str, term: ast.expr, frame: FrameType) -> Iterator[Event]:
    number, text = _number(term, frame), unparsed(term)
    if number is not None and text is not None:
        yield Event("constant term", target, {"term": text, "amount": number})


def _added(expression: ast.expr) -> Iterator[ast.expr]:
    if isinstance(expression, ast.BinOp) and isinstance(expression.op, (ast.Add, ast.Sub)):
        yield from _added(expression.left)
        yield from _added(expression.right)
    else:
        yield expression


def _terms(expression: ast.expr, node: Node | None, frame: FrameType) -> Iterator[ast.expr]:
    """The terms that have no node in the sum's graph, which is gone through beside the text."""
    if node is None:
        yield expression
    elif isinstance(expression, ast.BinOp):
        under = [one for one, _ in node.next_functions]
        if isinstance(expression.op, (ast.Add, ast.Sub)):
            is_turned = not _may_be_tensor(expression.left) and not is_a(
                _value(expression.left, frame), Tensor
            )  # a number of Python's on the left
            if node.name() in _SUMS and len(under) == 2 and not is_turned:
                yield from _terms(expression.left, under[0], frame)
                yield from _terms(expression.right, under[1], frame)
        elif isinstance(expression.op, (ast.Mult, ast.Div)) and node.name() in _SCALED:
            for side in (expression.left, expression.right):
                if (
                    isinstance(side, ast.BinOp)
                    and under[0] is not None
                    and under[1:] in ([], [None])
                ):
                    yield from _terms(side, under[0], frame)


def _number(term: ast.expr, frame: FrameType) -> str | None:
    """A term's number, "" where only running it would tell; None where it is meant as a constant.

    So is a number of Python's, what is switched off by a 0, and what is detached on the spot.
    """
    number, tensors = "", 0
    for factor in _factors(term):
        value = _value(factor, frame)
        if is_a(value, Tensor):
            if not is_plain(value) or is_lazy(value) or not value.is_floating_point():
                return None
            if value.requires_grad:
                return None  # then it was not this one
            tensors += 1
            one = numbers_in(value)[0]
            if one == 0:
                return None
            number = f"{one:.9g}" if one is not None and len(number) == 0 else ""
        elif type(value) in (int, float):
            if not value:
                return None
        elif value is not UNKNOWN or not _may_be_tensor(factor):
            return None
        else:
            tensors += 1
    return number if tensors else None


def _factors(term: ast.expr) -> Iterator[ast.expr]:
    if isinstance(term, ast.UnaryOp):
        yield from _factors(term.operand)
    elif isinstance(term, ast.BinOp) and isinstance(term.op, (ast.Mult, ast.Div)):
        yield from _factors(term.left)
        yield from _factors(term.right)
    else:
        yield term


def _value(factor: ast.expr, frame: FrameType) -> Any:
    """What a factor is, where that can be told without running anything."""
    if isinstance(factor, ast.Constant):
        return factor.value
    if isinstance(factor, ast.Subscript) and isinstance(factor.slice, ast.Constant):
        name = dotted(factor.value)
        holder = UNKNOWN if name is None else value_of(name, frame)
        return dict.get(holder, factor.slice.value, None) if type(holder) is dict else None
    name = dotted(factor)
    return UNKNOWN if name is None else value_of(name, frame)


def _may_be_tensor(factor: ast.expr) -> bool:
    """Whether a call, or what is computed on the spot, gives a tensor as far as the text tells."""
    if not isinstance(factor, (ast.Call, ast.BinOp)):
        return False
    for node in ast.walk(factor):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in _NUMBERS:
                return False
        elif getattr(node, "attr", None) in _EXPLICIT or getattr(node, "id", None) == "math":
            return False
    return True
