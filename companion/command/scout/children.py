"""Processes that a script starts of its own: what runs in them is not watched."""

from __future__ import annotations

from collections import Counter
from multiprocessing.process import BaseProcess
from types import FrameType, FunctionType

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes

START = BaseProcess.start.__code__


class Children:
    """Hears of the processes that are started to run a function of the user's."""

    def __init__(self) -> None:
        self._started: Counter[str] = Counter()

    def hear(self, frame: FrameType) -> None:
        """A call of `START`; a loader's workers run a function of torch's."""
        kept = attributes(frame.f_locals.get("self"))
        target, given = kept.get("_target"), kept.get("_args")
        several = [target, *given[:1]] if type(given) is tuple else [target]  # spawn's is wrapped
        for one in several:
            if type(one) is FunctionType and not is_in_library(one.__code__.co_filename):
                self._started[one.__name__] += 1
                return

    @property
    def sentences(self) -> list[str]:
        """How to watch what was started, for each function."""
        return [
            f"{name}() ran in {number} process{'es' if number > 1 else ''} that this script "
            f"started, where it is not watched. To watch a loop there, edit {name}(): `with "
            "companion.trace(net, optimizer, steps=3) as routine:` around the loop, and below it "
            "print(routine), in one of the processes. By torchrun this script cannot be watched: "
            "each of its processes would start all of these again"
            for name, number in self._started.items()
        ]
