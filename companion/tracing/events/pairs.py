"""Losses that compare every output with every target, since two shapes were broadcast."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from companion.isolation.objects import is_a
from companion.isolation.wall import is_calm
from companion.records.line import Event
from companion.records.operands import Operands, Side, arguments, binds_nothing, operands
from companion.records.syntax import bound
from companion.tracing.code.frames import value_of
from companion.tracing.events.feeds import apart, is_shown, line_of_caller
from companion.tracing.events.graph import Node, below, grad_fn, shape_of
from companion.tracing.measure.values import has_values, is_plain

LOSSES = (
    "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss",
    "poisson_nll_loss", "hinge_embedding_loss",
)  # fmt: skip
NEAR = 60  # nodes below a loss

Shape = tuple[int, ...]


def compared(local: Mapping[str, Any], frame: FrameType) -> Event | None:
    """A criterion is called with two shapes of which one is broadcast."""
    a, b = local["input"], local["target"]
    reduction = local.get("reduction")
    if type(reduction) is not str or not (is_shown(a) and is_shown(b)):
        return None
    if a.shape == b.shape:
        across = apart(a, b)
        details = {} if across is None else {**across[1], "line": line_of_caller(frame)}
        return None if across is None else Event(across[0], frame.f_code.co_name, details)
    one, other = tuple(a.shape), tuple(b.shape)
    crossed = len(one) == 2 and 1 in one and other == one[::-1] and not b.requires_grad
    if len(one) == len(other) and not crossed:
        return None  # one value for many, as was meant
    kept = reduction == "none"
    if kept and (not _are_same_numbers(one, other) or _is_spread_on_purpose(a, b)):
        return None
    details = {
        "input": one,
        "target": other,
        "mean": reduction == "mean",
        "same": _is_constant(b),
        "kept": kept,
        "line": line_of_caller(frame),
    }
    return Event("shapes", frame.f_code.co_name, details)


def _is_constant(target: Tensor) -> bool:
    """Whether all targets are the same: broadcast or not, so is their mean loss."""
    if not has_values(target) or not target.numel() or target.layout != torch.strided:
        return False
    flat = target.detach().flatten()
    return bool((flat == flat[0]).all())


def _is_spread_on_purpose(*tensors: Tensor) -> bool:
    """Whether one of two was just given a dimension of its own."""
    nodes = map(grad_fn, tensors)
    return any(node is not None and node.name() in _ON_PURPOSE for node in nodes)


_ON_PURPOSE = {"UnsqueezeBackward0", "IndexBackward0"}


def _are_same_numbers(one: Shape, other: Shape) -> bool:
    """Whether two shapes differ in nothing but where they have a 1; one is broadcast to both."""
    bare = [n for n in one if n != 1]
    if len(one) == len(other) or not bare or bare != [n for n in other if n != 1]:
        return False
    whole = _whole(one, other)
    return whole is not None and math.prod(whole) > math.prod(one)


def _whole(one: Shape, other: Shape) -> Shape | None:
    longer = max(len(one), len(other))
    one, other = ((1,) * (longer - len(shape)) + shape for shape in (one, other))
    fit = all(a == b or 1 in (a, b) for a, b in zip(one, other, strict=True))
    return tuple(map(max, one, other)) if fit else None


class Spread(NamedTuple):
    """A difference, or a product, in the graph of a loss, of which one side has no graph.

    Attributes:
        whole: Its shape.
        part: That of the side with a graph.
    """

    whole: Shape
    part: Shape


def spreads(loss: Node | None) -> Iterator[Spread]:
    """What was broadcast right below a loss: nothing but sums, squares and the like between."""
    for node in below([loss], NEAR, through=lambda n: n.name().rstrip("0123456789") in _ON):
        found = spread(node)
        if found is not None:
            yield found


def spread(node: Node) -> Spread | None:
    """Whether a node subtracts or multiplies, and something without a graph is broadcast."""
    if node.name() not in ("SubBackward0", "MulBackward0"):
        return None
    sides = [side for side, _ in node.next_functions]
    if len(sides) != 2 or (sides[0] is None) == (sides[1] is None):
        return None
    (side,) = (side for side in sides if side is not None)
    whole, part = shape_of(node), shape_of(side)
    if whole is None or part is None or math.prod(whole) <= math.prod(part):
        return None
    return None if side.name() in _ON_PURPOSE else Spread(whole, part)


_ON = {f"{name}Backward" for name in (
    "Mean", "Sum", "Pow", "Abs", "Mul", "Div", "Sqrt", "Add", "Sub", "Neg", "LinalgVectorNorm",
    "Log", "Log1p", "Cosh", "Clamp", "ClampMin", "ClampMax", "SmoothL1Loss", "HuberLoss",
    "MseLoss", "Where", "Norm",
)}  # fmt: skip


def after(text: str, frame: FrameType, events: Sequence[Event]) -> Iterator[Event]:
    """What a statement has broadcast, read from what it has bound, or begun a backward from."""
    written = operands(text)
    if not (written or arguments(text)) or not is_calm():
        return
    if any(event.kind == "shapes" for event in events):
        return
    for name, is_loop in bound(text):
        node = None if is_loop else _graph_of(value_of(name, frame))
        if node is None:
            continue
        if shape_of(node) == ():
            found = [_event(one, text, frame) for one in spreads(node)]
            yield from [event for event in found if event is not None][:1]
        elif written and (one := spread(node)) is not None:
            event = _event(one, text, frame)
            if event is not None:  # whether it goes into a loss will be seen
                yield _unsure(event)
    kind = binds_nothing(text)
    if kind == "return" and written:
        yield from _returned(written, frame)
    elif kind == "expression":
        for event in [*events]:
            whole, part = event.details.get("spread"), event.details.get("part")
            if whole is not None and part is not None:
                seen = _event(Spread(whole, part), text, frame)
                yield from () if seen is None else (seen,)


def _graph_of(value: object) -> Node | None:
    return grad_fn(value) if is_a(value, Tensor) and is_plain(value) else None


def _event(found: Spread, text: str, frame: FrameType) -> Event | None:
    """What stands in a statement that was broadcast so: a variable, without a graph."""
    written = operands(text)
    sides: Iterable[tuple[Side | None, Operands | None, bool]] = (
        [(side, one, side is one.left) for one in written for side in (one.left, one.right)]
        if written
        else [(side, None, False) for side in arguments(text)]
    )
    for side, one, is_left in sides:
        target = _target(side, frame, found.part)
        if target is not None and _whole(found.part, target) == found.whole:
            event = _difference(found.part, target, one, is_left)
            if one is not None or side is None:
                return event
            return Event(event.kind, event.name, {**event.details, "argument": side.text})
    return None


def _target(side: Side | None, frame: FrameType, part: Shape | None) -> Shape | None:
    """The shape of a side without a graph, if that goes wrong with the other's.

    Of a cut one it is what it must be. None where all entries are the same: then broadcast or
    not, so is the mean.
    """
    if side is None:
        return None
    value, keys = value_of(side.name, frame), list(side.keys)
    while keys and keys[0] is not None and type(value) in (list, tuple, dict):
        known = keys[0] in value if type(value) is dict else _is_index(keys[0], value)
        if not known:
            return None
        value = value[keys.pop(0)]
    if not is_a(value, Tensor) or not is_shown(value) or value.requires_grad or value.is_complex():
        return None
    shape = tuple(value.shape)
    if keys:  # some of its entries, or rows: as many as are wanted
        wanted = None if part is None else _turned(part)
        if len(keys) > 1 or keys[0] is not None or wanted is None:
            return None
        return wanted if shape[1:] == wanted[1:] and len(shape) < 3 else None
    if part is not None and not _are_same_numbers(part, shape):
        return None
    return None if _is_constant(value) else shape


def _is_index(key: object, value: Any) -> bool:
    return type(key) is int and -len(value) <= key < len(value)


def _difference(part: Shape, target: Shape, one: Operands | None, is_left: bool) -> Event:
    what = "the product" if one is not None and one.sign == "*" else "the difference"
    details = {
        "input": part,
        "target": target,
        # A column that was made right there may be meant for all pairs.
        "kept": one is not None and one.is_turned and len(part) > len(target),
        "text": "" if one is None else one.text,
        "first": is_left,
    }
    return Event("shapes", what, details)


def _unsure(event: Event) -> Event:
    return Event(event.kind, event.name, {**event.details, "unsure": True})


def _returned(written: Iterable[Operands], frame: FrameType) -> Iterator[Event]:
    """What is returned has no variable: the backward will tell what was broadcast in it."""
    for one in written:
        for side, other in ((one.left, one.right), (one.right, one.left)):
            output = None if other is None else value_of(other.name, frame)
            part: Shape | None = None
            if other is not None and not other.keys and is_a(output, Tensor):
                if not is_plain(output) or not output.requires_grad:
                    continue
                part = tuple(output.shape)
            target = _target(side, frame, part)
            part = _turned(target) if target is not None and part is None else part
            if target is not None and part is not None and _are_same_numbers(part, target):
                yield _unsure(_difference(part, target, one, side is one.left))
                return


def _turned(shape: Shape) -> Shape | None:
    """The shape that goes wrong with this one: (N, 1) with (N), and the other way round."""
    if len(shape) == 1 and shape[0] > 1:
        return (*shape, 1)
    return shape[:1] if len(shape) == 2 and shape[1] == 1 < shape[0] else None
