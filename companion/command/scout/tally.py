"""What all of a script's optimizer steps came to, watched or not."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.records.line import Event, LineRecord
from companion.records.parallel import Parallel
from companion.tracing.guard.judges import is_zero
from companion.tracing.measure.marks import mark
from companion.tracing.measure.modules import named_parameters, parameters
from companion.tracing.measure.parallel import parallel
from companion.tracing.measure.values import gradient_of, inside
from companion.tracing.measure.watched import Watched, held, parameters_of


@dataclass
class _Steps:
    """Of one optimizer: how many steps, and how many of them came to nothing."""

    optimizer: weakref.ref[Optimizer]
    number: int = 0
    without: int = 0  # a gradient, before the first that had one
    still: int = 0  # at a learning rate of 0
    head: int = 0
    tail: int = 0
    graded: bool = False  # whether any of them had a gradient

    def begin(self, optimizer: Optimizer) -> None:
        zero = is_zero(optimizer)
        self.head += zero and self.head == self.number
        self.number += 1
        self.still += zero
        self.tail = self.tail + 1 if zero else 0
        self.graded = self.graded or _has_gradient(optimizer)

    def end(self, optimizer: Optimizer) -> None:
        if not self.graded:  # a closure may have computed it, within the step
            self.graded = _has_gradient(optimizer)
            self.without += not self.graded


@dataclass
class _Named:
    """A watched optimizer, what it holds, and how often that had been written."""

    name: str
    optimizer: weakref.ref[Optimizer]
    held: dict[str, tuple[int, tuple[Any, ...]]]  # by name: its id, and its first entries
    steps: _Steps

    def is_written(self, optimizer: Optimizer | None) -> bool:
        """Whether any of them has other values by now, is gone from the optimizer, or with it."""
        if optimizer is None:
            return True
        now = held(optimizer)
        return any(
            key not in now or not first or _first(now[key]) != first
            for key, first in self.held.values()
        )

    def is_hooked(self, optimizer: Optimizer | None) -> bool:
        """Whether a hook on any of them takes, or may use up, its gradients."""
        if optimizer is None:
            return False
        mine = {key for key, _ in self.held.values()}
        wholes = (inside(p) for key, p in held(optimizer).items() if key in mine)
        return any(
            one is not None and (one._backward_hooks or one._post_accumulate_grad_hooks)
            for one in wholes
        )


class Tally:
    """Counts every optimizer's steps in a script; it keeps none of its objects alive.

    Attributes:
        number: How many there were.
        parallel: What the watched networks have in common with other processes.
        after: Called after each step, if there is one.
    """

    def __init__(self) -> None:
        self._steps: dict[int, _Steps] = {}
        self._named: list[_Named] = []
        self._asked = Counter[int]()
        self._watched, self._ours = set[int](), set[int]()  # optimizers, parameters, by id
        self.number = 0
        self.parallel = Parallel()
        self.after: Callable[[], None] | None = None

    def watch(self, watched: Watched) -> None:
        """These are the networks and optimizers whose lines are watched."""
        self.parallel = parallel(watched)
        mine = {
            watched.prefix(network) + name: p
            for network, net in watched.networks.items()
            for name, p in named_parameters(net)
        }
        self._watched = {id(optimizer) for optimizer in watched.optimizers.values()}
        self._ours = {id(p) for net in watched.networks.values() for p in parameters(net)}
        for name, optimizer in watched.optimizers.items():
            ids = held(optimizer)
            names = {
                one: (id(p), _first(p))
                for one, p in [*mine.items(), *watched.loose.items()]
                if id(p) in ids
            }
            steps = self._of(optimizer)
            self._named.append(_Named(name, weakref.ref(optimizer), names, steps))

    def begin(self, optimizer: Optimizer) -> None:
        """An optimizer is about to step."""
        self.number += 1
        self._of(optimizer).begin(optimizer)

    def end(self, optimizer: Optimizer) -> None:
        """It has stepped."""
        self._of(optimizer).end(optimizer)
        if self.after is not None:
            self.after()

    @property
    def made(self) -> int | None:
        """How many steps a training has made: those of the watched optimizer that made most.

        None where that is not known, for others stepped as well.
        """
        numbers = [one.steps.number for one in self._named]
        return max(numbers) if numbers and sum(numbers) == self.number else None

    def watches(self, optimizer: Optimizer) -> bool:
        """Whether it is one of those whose lines are watched."""
        return id(optimizer) in self._watched

    def is_endless(self, optimizer: Optimizer, steps: int) -> bool:
        """Whether optimizers have stepped so often that the lines of a loop do not come round.

        One that is made anew for each epoch counts with those before it. Asked at each step since
        the training began.
        """
        is_watched = self.watches(optimizer)
        mine = is_watched or not self._watched or not self._ours.isdisjoint(held(optimizer))
        key = id(optimizer) if is_watched else -mine
        self._asked[key] += 1
        return self._asked[key] > (4 if mine else 100) * steps

    def _of(self, optimizer: Optimizer) -> _Steps:
        steps = self._steps.get(id(optimizer))
        if steps is None or steps.optimizer() is not optimizer:
            self._steps[id(optimizer)] = steps = _Steps(weakref.ref(optimizer))
        return steps

    def close(self, records: list[LineRecord]) -> None:
        """The script is over: its last record says what all of it came to."""
        if records:
            records[-1] = replace(records[-1], events=(*records[-1].events, *self._events()))

    def _events(self) -> Iterator[Event]:
        """What each watched optimizer did, now that the script is over."""
        others = self.number - sum(one.steps.number for one in self._named)
        for one in self._named:
            steps, optimizer = one.steps, one.optimizer()
            yield Event(
                "end",
                one.name,
                {
                    "held": tuple(one.held),
                    "steps": steps.number,
                    "without": steps.without,
                    "still": steps.still,
                    "head": steps.head,
                    "tail": steps.tail,
                    "zero": bool(steps.tail) if optimizer is None else is_zero(optimizer),
                    "others": others,
                    "written": one.is_written(optimizer) or one.is_hooked(optimizer),
                },
            )


def ends_well(error: BaseException | None) -> bool:
    """Whether a script has run to its end, or has left with an exit code of 0."""
    if error is None:
        return True
    codes = error.args if type(error) is SystemExit else (1,)
    return all(code is None or (type(code) is int and code == 0) for code in codes)


def _has_gradient(optimizer: Optimizer) -> bool:
    """Whether any of its parameters has one: in a training that is the first that is asked."""
    return any(gradient_of(p) is not None for p in parameters_of(optimizer))


def _first(p: Tensor) -> tuple[Any, ...]:
    """A parameter's first entries, as they are written; nothing where they cannot be read."""
    return mark(p)[2:]
