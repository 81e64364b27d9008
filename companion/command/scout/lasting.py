"""Which networks are there for as long as their optimizer is, and which only while a line runs."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from types import FrameType, MethodType

from torch import nn
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import is_a
from companion.tracing.code.frames import local_variables
from companion.tracing.measure.modules import parameters


def passing(
    outermost: Sequence[nn.Module], networks: Sequence[nn.Module], frames: Sequence[FrameType]
) -> list[nn.Module]:
    """Those that only a call under way holds, and whose parameters are others' as well.

    `net[:2](x)` makes a network of two layers of `net`, `nn.Sequential(flatten, net)(x)` one
    around it; both are gone with the line.

    Args:
        outermost: The networks to be judged.
        networks: All that there are.
        frames: The user's that run, outermost first.
    """
    lasting = _lasting(frames)
    doubtful = tuple(one for one in outermost if id(one) not in lasting)
    kept = _kept(doubtful, [outermost, networks])
    gone = {id(one) for one in doubtful} - kept
    others = {id(p) for one in networks if id(one) not in gone for p in parameters(one)}
    return [
        one
        for one in doubtful
        if id(one) in gone and others.issuperset(id(p) for p in parameters(one))
    ]


def _lasting(frames: Sequence[FrameType]) -> set[int]:
    """What the variables hold, as far out as the outermost one that holds an optimizer."""
    found: set[int] = set()
    for i, values in enumerate([*local_variables(frame).values()] for frame in frames):
        has_optimizer = any(is_a(value, Optimizer) for value in values)
        if i == 0 or has_optimizer:
            found.update(map(id, values))
        if has_optimizer:
            break
    return found


def _kept(networks: tuple[nn.Module, ...], ours: Sequence[object]) -> set[int]:
    """Which of them an object holds: no frame, no bound method, no frame's dict of a method."""
    found: set[int] = set()
    skipped = {id(networks), *map(id, ours)}
    for holder in gc.get_referrers(*networks) if networks else ():
        if type(holder) not in (FrameType, MethodType) and id(holder) not in skipped:
            held = set(map(id, gc.get_referents(holder)))
            if type(holder) is dict:
                held.discard(id(holder.get("self")))
            found |= held
    return found
