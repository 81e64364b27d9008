"""What begins when no line is watched any more: parameters are thawed, and nobody holds them.

And what never begins: an optimizer whose parameters get gradients makes no step in the whole run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim.optimizer import Optimizer

from companion.records.sighting import Sighting
from companion.tracing.measure.marks import mark
from companion.tracing.measure.values import gradient_of, is_plain
from companion.tracing.measure.watched import alive, held

LOOKS = 2  # after the first, at which they have a gradient and have not moved
STEPS = 10  # of others, in a run in which an optimizer made none
MOST = 10_000  # parameters


class Thawed:
    """Parameters that were frozen in the watched steps, and require a gradient now.

    Args:
        parameters: Gives the networks' parameters, by name, as they are now.
    """

    def __init__(self, parameters: Callable[[], Iterable[tuple[str, Tensor]]]) -> None:
        self._parameters = parameters
        frozen = {name for name, p in parameters() if not p.requires_grad and is_plain(p)}
        self._frozen = frozen if len(frozen) <= MOST else set()
        self._seen: dict[str, tuple[int, Any]] = {}  # name → looks, and what it held at the first
        self._first = 0
        self.sighting: Sighting | None = None

    def look(self, optimizer: str, step: int) -> None:
        """An optimizer has made this step; its name."""
        if self.sighting is not None or not self._frozen:
            return
        found = [
            (name, p)
            for name, p in self._parameters()
            if name in self._frozen and p.requires_grad and gradient_of(p) is not None
        ]
        if not self._seen:
            self._first = step
        lasting = []
        for name, p in found:
            looks, first = self._seen.get(name, (0, mark(p)))
            self._seen[name] = looks + 1, first
            if looks >= LOOKS and mark(p) == first:
                lasting.append((name, p))
        if not lasting:
            return
        everything = {number for one in alive(Optimizer) for number in held(one)}
        names = [name for name, p in lasting if id(p) not in everything]
        if not names:  # another optimizer has them, that was built meanwhile
            self._frozen = set()
            return
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        what = (
            f"{names[0]}{more}, frozen in the watched steps, get gradients since then, and no "
            f"optimizer holds them: give them to one, {optimizer}.add_param_group(...)"
        )
        self.sighting = Sighting("in-no-optimizer", optimizer, self._first, False, names[0], what)


class Idle:
    """An optimizer that has made no step so far.

    Args:
        name: The user's name for it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._first: Any = None
        self._looks = 0
        self._is_sound = False

    def look(self, optimizer: Optimizer, others: Iterable[Optimizer]) -> None:
        """Another optimizer has stepped."""
        if self._is_sound or self._looks > LOOKS:
            return
        mine: Mapping[int, Tensor] = held(optimizer)
        with_gradients = [p for p in mine.values() if is_plain(p) and gradient_of(p) is not None]
        if not with_gradients:
            return
        now = [mark(p) for p in with_gradients[:4]]
        if self._first is None:
            self._first = now
        self._is_sound = self._first != now or any(
            not mine.keys().isdisjoint(held(one)) for one in others if one is not optimizer
        )
        self._looks += 1

    def sighting(self, steps: int) -> Sighting | None:
        """What is said at the end of a run in which it made no step, and others so many."""
        if self._is_sound or self._looks <= LOOKS or steps < STEPS:
            return None
        what = (
            f"it never stepped, while other optimizers made {steps} steps; its parameters have "
            "gradients, and stayed as they were"
        )
        return Sighting("never-steps", self._name, steps, False, None, what)
