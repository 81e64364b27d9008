"""Statements that do nothing: what their text says, made sure of by what their variables hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from companion.isolation.objects import is_a
from companion.records.idle import Idle, idle, in_place
from companion.records.line import Event
from companion.tracing.code.frames import value_of
from companion.tracing.measure.modules import named_buffers, named_parameters
from companion.tracing.measure.values import has_values, is_plain

_DTYPES = {
    "float": torch.float32, "half": torch.float16, "double": torch.float64, "int": torch.int32,
    "bfloat16": torch.bfloat16, "long": torch.int64, "bool": torch.bool,
}  # fmt: skip


def reads(text: str) -> bool:
    """Whether `without_effect` looks at a variable for this statement."""
    return idle(text) is not None or in_place(text) is not None


def without_effect(text: str, frame: FrameType) -> Iterator[Event]:
    """A statement that has done nothing; or that has written a parameter into itself."""
    found = idle(text)
    if found is not None and found.how == "unentered":
        yield Event("no effect", found.owner, {"how": found.how, "method": found.method})
    elif found is not None:
        value = value_of(found.owner, frame)
        if is_a(value, Tensor) and is_plain(value):
            differs = _differs(value, found, frame)
            details = {"how": found.how, "method": found.method, "owner": type(value).__name__}
            yield Event("no effect", found.owner, {**details, "same": not differs})
    written = in_place(text)
    if written is not None:
        yield from _into_itself(*written, frame)


def _differs(tensor: Tensor, found: Idle, frame: FrameType) -> bool:
    """Whether the result is another tensor than the one it was computed from."""
    if found.method == "detach":
        return tensor.requires_grad
    if found.method == "contiguous":
        return not tensor.is_contiguous()
    if found.method in ("cuda", "cpu"):
        return tensor.device.type != found.method
    if found.method in _DTYPES:
        return tensor.dtype != _DTYPES[found.method]
    if found.method != "to":
        return True
    given = found.given or ""
    wanted = given.strip("'") if given.startswith("'") else value_of(given, frame)
    if type(wanted) is str:
        return wanted.partition(":")[0] != tensor.device.type
    if type(wanted) is torch.device:
        return wanted.type != tensor.device.type
    if given.startswith("torch."):
        return given.removeprefix("torch.") != str(tensor.dtype).removeprefix("torch.")
    return type(wanted) is torch.dtype and wanted != tensor.dtype


def _into_itself(owner: str, others: tuple[str, ...], frame: FrameType) -> Iterator[Event]:
    mine = value_of(owner, frame)
    if not is_a(mine, Tensor) or not mine.is_leaf:
        return
    values = [(name, value_of(name, frame)) for name in others]
    same = [name for name, value in values if is_a(value, Tensor) and is_same(mine, value)]
    if same:
        yield Event("into itself", owner, {"other": same[0]})


def is_same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are one, or views of the very same entries."""
    if one is other:
        return True
    if not (is_plain(one) and is_plain(other) and has_values(one) and has_values(other)):
        return False
    strided = one.layout == other.layout == torch.strided
    if not strided or one.is_nested or other.is_nested or not one.numel():
        return False
    return bool(
        one.shape == other.shape
        and one.stride() == other.stride()
        and one.storage_offset() == other.storage_offset()
        and one.untyped_storage()._cdata == other.untyped_storage()._cdata
    )


def loads_itself(local: Mapping[str, Any], frame: FrameType, known: Any) -> Event | None:
    """A `load_state_dict` that is given the network's own tensors: nothing is copied."""
    net, given = local.get("self"), local.get("state_dict")
    if not is_a(net, nn.Module) or not is_a(given, dict):
        return None
    parameters = dict(named_parameters(net))
    mine = {**parameters, **dict(named_buffers(net))}
    theirs = {name: one for name, one in dict.items(given) if is_a(one, Tensor)}
    if not parameters.keys() & theirs.keys() or not theirs.keys() <= mine.keys():
        return None
    if not all(is_same(mine[name], one) for name, one in theirs.items() if one.numel()):
        return None
    name = known.names.get(id(net), type(net).__name__)
    return Event("loads itself", name, {"copies": len(theirs)})
