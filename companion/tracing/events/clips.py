"""A call that clips gradients: whose they are, and whether it only measures."""

from __future__ import annotations

from collections.abc import Mapping
from types import FrameType, GeneratorType
from typing import Any

from torch import Tensor, nn

from companion.isolation.objects import is_a
from companion.records.line import Event
from companion.tracing.code.frames import local_variables
from companion.tracing.measure.modules import parameters

MOST = 1e5  # a limit that is as large as this only measures
_PARAMETERS = nn.Module.parameters.__code__


def clip(local: Mapping[str, Any], frame: FrameType, watched: Mapping[str, Tensor]) -> Event:
    """The event of such a call, from its own variables; `watched` are the parameters, by name."""
    limit = local.get("max_norm", local.get("clip_value"))
    details: dict[str, Any] = {"meter": type(limit) not in (int, float) or not limit < MOST}
    if type(limit) in (int, float):
        details["limit"] = f"{limit:g}"
    given = _given(local.get("parameters"))
    if given is not None:
        details["given"] = tuple(name for name, p in watched.items() if id(p) in given)
    return Event("clip", frame.f_code.co_name, details)


def _given(several: object) -> set[int] | None:
    """The ids of the tensors that it was given; None where only running code could tell.

    A generator is never asked for what it gives: that would use it up. `net.parameters()`, which
    has not begun yet, still shows its network.
    """
    if is_a(several, Tensor):
        return {id(several)}
    if type(several) in (list, tuple):
        return {id(one) for one in several}  # type: ignore[attr-defined]
    if type(several) is GeneratorType and several.gi_code is _PARAMETERS:
        net = None if several.gi_frame is None else local_variables(several.gi_frame).get("self")
        if is_a(net, nn.Module):
            return {id(p) for p in parameters(net)}
    return None
