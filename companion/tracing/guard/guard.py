"""The guard: it stays for the rest of the run when no line is watched any more."""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterator
from functools import partial
from threading import get_ident
from time import perf_counter, thread_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer

from companion.isolation.stepping import AFTER
from companion.isolation.wall import aside, is_calm, is_ours, keep_out_dynamo, leave_out_us
from companion.records.sighting import Sighting
from companion.tracing.guard.late import Idle, Thawed
from companion.tracing.guard.one import One
from companion.tracing.guard.pace import Pace
from companion.tracing.guard.scales import Scales
from companion.tracing.measure.modules import named_parameters
from companion.tracing.measure.watched import Watched

SHARE = 0.0025  # of the time between steps; as much again goes where our clock is not
GRACE = 0.005  # seconds, once


class Guard:
    """Looks at gradients and learning rates after optimizers' steps, as often as costs nothing.

    It counts steps from when it is made, and looks from `begin` on. It keeps nothing alive of what
    it looks at. If our own work fails it says no more; what comes from outside passes on.

    Args:
        watched: The networks, optimizers and scaler.

    Attributes:
        sentences: What was seen, in words; filled by `end`.

    Example:
        >>> net = nn.Linear(2, 1)
        >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> guard = Guard(Watched((net, sgd), {"sgd": sgd}))
        >>> guard.install()
        >>> guard.begin()
        >>> net(torch.tensor([[1.0, float("inf")]])).sum().backward()
        >>> sgd.step()
        >>> guard.end()
        >>> guard.sentences
        ['sgd, step 1: the norm of the gradient of weight is infinite']
    """

    def __init__(self, watched: Watched) -> None:
        networks = [
            (watched.prefix(name), weakref.ref(net)) for name, net in watched.networks.items()
        ]
        naming = partial(_name_of, networks)
        number = max(1, len(watched.optimizers))
        self._ones = [
            One(optimizer, name, naming, Pace(SHARE / number, GRACE / number))
            for name, optimizer in watched.optimizers.items()
        ]
        self._by_id = {id(one.optimizer()): one for one in self._ones}
        self._scales = None if watched.scaler is None else Scales(watched.scaler)
        self._has_ended = False
        self._networks = networks
        self._thawed: Thawed | None = None
        self._idle = {id(one): Idle(one.name) for one in self._ones if len(self._ones) > 1}
        self._begun: int | None = None  # how many steps were made before
        self.sentences: list[str] = []
        self._here()

    def _here(self) -> None:
        self._pid, self._thread = os.getpid(), get_ident()

    def install(self) -> None:
        """Have torch tell of each step; else somebody calls `on_step`."""
        self._here()
        if self._by_id:
            AFTER.add(self.on_step)

    def begin(self) -> None:
        """From here on nobody else looks."""
        try:
            if self._begun is None:
                self._begun = self._made
                self._thawed = Thawed(partial(_parameters, self._networks))
                self._note_scale()
        except BaseException as error:
            if self._passes(error):
                raise

    @property
    def steps(self) -> int:
        """How many steps its optimizers have made since it began to look."""
        return 0 if self._begun is None else self._made - self._begun

    @property
    def checked(self) -> int:
        """At how many of them it has read the gradients."""
        return sum(one.checked for one in self._ones)

    @property
    def seen(self) -> list[Sighting]:
        """What it has seen."""
        seen = [sighting for one in self._ones for sighting in one.sightings()]
        late = [None if self._thawed is None else self._thawed.sighting]
        for one in self._ones:
            if self._has_ended and not one.steps and id(one) in self._idle:
                late.append(self._idle[id(one)].sighting(self._made))
        late.append(None if self._scales is None else self._scales.sighting())
        return [*seen, *(sighting for sighting in late if sighting is not None)]

    def to_dict(self) -> dict[str, Any]:
        """How much it has seen, and what, ready for JSON."""
        seen = [sighting.to_dict() for sighting in self.seen]
        return {"steps": self.steps, "checked": self.checked, "seen": seen}

    @property
    def _made(self) -> int:
        return sum(one.steps for one in self._ones)

    def on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """An optimizer has stepped, in any thread; torch's own hook says so."""
        try:
            if torch.compiler.is_compiling():  # it reads no further then
                return
            one = self._by_id.get(id(optimizer))
            if one is None or get_ident() != self._thread:
                return
            if one.optimizer() is not optimizer:  # another one, in the place of one that is gone
                return
            one.steps += 1
            # All else waits for a look: this is run after each step, and never warm.
            if self._begun is not None and perf_counter() >= one.pace.due:
                self._look(one, optimizer, kwargs)
        except BaseException as error:
            if self._passes(error):
                raise

    def _look(self, one: One, optimizer: Optimizer, kwargs: Any) -> None:
        if not self._is_here():
            return
        began = thread_time()  # not what other processes take meanwhile
        if is_calm():
            aside(one.look, optimizer, kwargs, self._scales, self._made)
            aside(self._look_late, one)
        one.pace.pay(thread_time() - began, perf_counter())

    def _look_late(self, one: One) -> None:
        if self._thawed is not None:
            self._thawed.look(one.name, one.steps)
        idle = [other for other in self._ones if not other.steps and id(other) in self._idle]
        living = [found for found in (other.optimizer() for other in self._ones) if found]
        for other in idle:
            optimizer = other.optimizer()
            if optimizer is not None:
                self._idle[id(other)].look(optimizer, living)

    def end(self, *, wait: bool = True) -> None:
        """Look no more, and put into words what was seen; `wait` for what a GPU still computes."""
        try:
            AFTER.remove(self.on_step)
            if self._begun is None or not self._is_here():
                return
            if self._by_id and is_calm():
                for one in self._ones:
                    aside(_finish, one, self._scales, wait)
                if wait:
                    self._note_scale(is_end=True)
                    self._has_ended = True
            self.sentences[:] = [sighting.words for sighting in self.seen]
        except BaseException as error:
            if self._passes(error):
                raise

    def _is_here(self) -> bool:
        return get_ident() == self._thread and os.getpid() == self._pid

    def _note_scale(self, *, is_end: bool = False) -> None:
        if self._scales is not None and is_calm():
            aside(_note_scale, self._scales, self._made, is_end)

    def _passes(self, error: BaseException) -> bool:
        """Whether an exception in our own work goes on to the script; ours ends the guard."""
        try:
            if is_ours(error):
                self._by_id = {}
                return False
            leave_out_us(error)
        except RecursionError:  # nothing can be called here any more
            return False
        return True


def _name_of(networks: list[tuple[str, weakref.ref[nn.Module]]], parameter: Tensor) -> str:
    """The name that a network has for it."""
    for prefix, ref in networks:
        net = ref()
        for name, one in () if net is None else named_parameters(net):
            if one is parameter:
                return prefix + name
    return "a parameter of no watched network"


def _parameters(
    networks: list[tuple[str, weakref.ref[nn.Module]]],
) -> Iterator[tuple[str, Tensor]]:
    for prefix, ref in networks:
        net = ref()
        for name, p in () if net is None else named_parameters(net):
            yield prefix + name, p


def _finish(one: One, scales: Scales | None, wait: bool) -> None:
    one.finish(scales, wait=wait)


def _note_scale(scales: Scales, made: int, is_end: bool) -> None:
    tensor = scales.tensor()
    if tensor is not None:
        scales.note(tensor.item(), made, is_end=is_end)


keep_out_dynamo(Guard.on_step)
