"""Graphs that a variable keeps: in a sum, in containers within containers, in an object."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import islice
from types import FrameType
from typing import Any

from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a, own_of, types_of
from companion.records.keeping import Keeper, handed_over, keepers
from companion.records.line import Event
from companion.tracing.code.frames import UNKNOWN, value_of
from companion.tracing.events.graph import Node, Spent, below, grad_fn, number_of
from companion.tracing.measure.values import is_plain

MOST = 200  # nodes of a sum's graph that are counted
LOOKED = 400  # entries of containers that are looked at for one variable
ENDS = 32  # entries at each end of a long list; what lies between is taken to be alike
DEEPEST = 4  # levels of containers and objects
FEW = 16  # tensors in a dict or an object whose sums are counted
BOUNDED = 16  # entries of a deque that forgets what is older: so few graphs may be kept
_ARITHMETIC = {"AddBackward0", "SubBackward0", "LerpBackward0", "LerpBackward1", "CatBackward0",
               "StackBackward0", "MulBackward0", "DivBackward0", "NegBackward0", "ViewBackward0",
               "UnsqueezeBackward0", "SqueezeBackward0", "ReshapeAliasBackward0"}  # fmt: skip
_FOREIGN = ("torch", "numpy", "builtins", "threading", "logging", "pathlib", "pandas", "tqdm")


def kept(text: str, frame: FrameType, spent: Spent) -> Iterator[Event]:
    """What a statement has left in variables: more than one graph, a spent one among them."""
    for keeper in keepers(text):
        event = _kept(keeper, text, frame, spent)
        if event is not None:
            yield event


def _kept(keeper: Keeper, text: str, frame: FrameType, spent: Spent) -> Event | None:
    value = _value(keeper.name, frame)
    tensors = _tensors(text, frame)
    within = "" if is_a(value, Tensor) else _kind(value)
    if within == "object":
        if keeper.how == "sum" or is_a(value, Optimizer) or not tensors:
            return None
    elif within and (keeper.how == "call" or _is_bounded(value)):
        return None
    found = list(nodes_in(value))
    if not found or not spent.has(min(found, key=_age)[0]):
        return None
    whole = [node for node, _ in found]
    length = round(sum(weight for _, weight in found))
    if (within in ("", "object") or keeper.how == "cell") and len(found) <= FEW:
        length = sum(len(terms(node)) for node in whole)
        whole = [one for node in whole for one in _arithmetic(node)]
    numbers = [number for number in map(number_of, whole) if number is not None]
    details = {
        "length": length, "oldest": min(numbers, default=0), "newest": max(numbers, default=0),
        "within": within, "tensors": tensors,
    }  # fmt: skip
    return Event("graph kept", keeper.name, details)


def _value(name: str, frame: FrameType) -> Any:
    """What a variable holds; it may be one that all objects of a class share."""
    value = value_of(name, frame)
    owner, _, attribute = name.rpartition(".")
    if value is UNKNOWN and owner:
        for kind in types_of(type(value_of(owner, frame))):
            found = own_of(kind).get(attribute)
            if found is not None:
                return found if _entries(found) is not None or is_a(found, Tensor) else UNKNOWN
    return value


def _kind(value: object) -> str:
    return "object" if _entries(value) is None else type(value).__name__


def _graph(value: object) -> Node | None:
    """The node that a value comes from; None where it has none, or is no tensor of torch's own."""
    return grad_fn(value) if is_a(value, Tensor) and is_plain(value) else None


def _age(one: tuple[Node, float]) -> int:
    return number_of(one[0]) or 0


def _arithmetic(node: Node) -> list[Node]:
    """The nodes of a sum, and what stands right below them."""
    return list(below([node], MOST, through=lambda n: n.name() in _ARITHMETIC))


def terms(node: Node) -> list[Node]:
    """What stands under sums of sums, `total += loss` again and again: a node for each graph."""
    below_sums = [one for one in _arithmetic(node) if one.name() not in _ARITHMETIC]
    return [one for one in below_sums if number_of(one) is not None] or [node]


def _is_bounded(value: object) -> bool:
    """Whether it is a queue that forgets all but a few."""
    if not is_a(value, deque):
        return False
    most: int | None = deque.maxlen.__get__(value)
    return most is not None and most <= BOUNDED


def nodes_in(value: object) -> Iterator[tuple[Node, float]]:
    """The graphs in a container or an object, each with how many it stands for."""
    todo: list[tuple[Any, int, float]] = [(value, 0, 1.0)]
    seen = {id(value)}
    for one, depth, weight in todo:
        node = _graph(one)
        if node is not None:
            yield node, weight
            continue
        if is_a(one, Tensor) or depth == DEEPEST or len(todo) > LOOKED:
            continue
        whole = _entries(one)
        if whole is None:
            if depth and (is_a(one, nn.Module) or is_a(one, Optimizer)):
                continue
            whole = _inside(one)
        size, entries = whole
        for entry in entries:
            if type(entry) in _BARE or id(entry) in seen:
                continue
            if not is_a(entry, Tensor):
                seen.add(id(entry))
            todo.append((entry, depth + 1, weight * size / len(entries)))


_BARE = (str, bytes, int, float, bool, complex, type(None))


def _entries(value: object) -> tuple[int, list[Any]] | None:
    """How many entries a container has, and the first and last ones; None for anything else."""
    if is_a(value, list):
        size = list.__len__(value)
        if size <= 2 * ENDS:
            return size, list.__getitem__(value, slice(0, 2 * ENDS))
        ends = slice(0, ENDS), slice(-ENDS, None)
        return size, [one for end in ends for one in list.__getitem__(value, end)]
    if is_a(value, tuple):
        return tuple.__len__(value), list(tuple.__getitem__(value, slice(0, 2 * ENDS)))
    if is_a(value, dict):
        size = dict.__len__(value)
        few = 2 * ENDS if size <= 2 * ENDS else ENDS
        found = list(islice(dict.values(value), few))
        if size > 2 * ENDS:
            found += list(islice(reversed(dict.values(value)), ENDS))
        return size, found
    if is_a(value, deque):
        size = deque.__len__(value)
        few = 2 * ENDS if size <= 2 * ENDS else ENDS
        found = list(islice(deque.__iter__(value), few))
        if size > 2 * ENDS:
            found += list(islice(deque.__reversed__(value), ENDS))
        return size, found
    if is_a(value, set):
        return set.__len__(value), list(islice(set.__iter__(value), 2 * ENDS))
    return None


def _inside(value: object) -> tuple[int, list[Any]]:
    """What an object of the user's holds."""
    module = type(value).__module__
    if type(module) is not str or module.startswith("torch.distributions"):
        return _listed(value)
    return (0, []) if module.partition(".")[0] in _FOREIGN else _listed(value)


def _listed(value: object) -> tuple[int, list[Any]]:
    held = list(islice(attributes(value).values(), LOOKED))
    return len(held), held


def _tensors(text: str, frame: FrameType) -> tuple[str, ...]:
    """The tensors with a graph that a statement hands over, as it would name them."""
    found: list[str] = []
    for name in handed_over(text):
        value = value_of(name, frame)
        if _graph(value) is not None:
            found.append(name)
        elif type(value) is dict:
            found += [
                f"{name}[{key!r}]"
                for key, one in [*islice(value.items(), ENDS)]
                if type(key) is str and _graph(one) is not None
            ]
    return tuple(found)
