"""Processes that a script starts of its own: what runs in them is not watched."""

from __future__ import annotations

import os
from collections import Counter
from multiprocessing.process import BaseProcess
from subprocess import Popen
from types import FrameType, FunctionType

from torch.multiprocessing.spawn import start_processes

from companion.command.ranks.place import LOCAL, RANK
from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes

START = BaseProcess.start.__code__
OPEN = Popen.__init__.__code__
_SPAWN = start_processes.__code__.co_filename
_NAMES = (*RANK, *LOCAL)
_TORCHRUN = "torchrun --nproc-per-node {} -m companion SCRIPT"


class Children:
    """Hears of the processes that are started to run a function of the user's, or to be ranks."""

    def __init__(self) -> None:
        self._started: Counter[str] = Counter()
        self._ranks = self._theirs = 0
        self._is_one = False  # whether this process is a rank itself

    def hear(self, frame: FrameType) -> None:
        """A call of `START` or `OPEN`; a loader's workers run a function of torch's."""
        if frame.f_code is OPEN:
            self._ranks += _is_rank(frame.f_locals.get("env"))
            self._is_one = any(name in os.environ for name in _NAMES)
            return
        kept = attributes(frame.f_locals.get("self"))
        target, given = kept.get("_target"), kept.get("_args")
        several = [target, *given[:1]] if type(given) is tuple else [target]  # spawn's is wrapped
        for one in several:
            if type(one) is FunctionType and not is_in_library(one.__code__.co_filename):
                self._started[one.__name__] += 1
                return
        if type(target) is FunctionType and target.__code__.co_filename == _SPAWN:
            self._theirs += 1

    @property
    def sentences(self) -> list[str]:
        """How to watch what was started, for each function, where this process trained nothing."""
        sentences = [
            f"{name}() ran in {_processes(number)} that this script started, where it is not "
            f"watched. To watch a loop there, edit {name}(): `with "
            "companion.trace(net, optimizer, steps=3) as routine:` around the loop, and below it "
            "print(routine), in one of the processes. By torchrun this script cannot be watched: "
            "each of its processes would start all of these again"
            for name, number in self._started.items()
        ]
        if self._theirs:
            sentences.append(
                f"what a library ran in {_processes(self._theirs)} that this script started is not "
                "watched. Where it can leave their start to a launcher (Lightning: "
                f'strategy="ddp"), this watches them: {_TORCHRUN.format(self._theirs)}'
            )
        return [*sentences, *(f"not watched: {one}" for one in self.ranks)]

    @property
    def ranks(self) -> list[str]:
        """What was started to train along with others, this process or not; how to watch them."""
        if not self._ranks:
            return []
        return [
            f"{_processes(self._ranks)} that this script started as "
            f"{'a rank' if self._ranks == 1 else 'ranks'} of its training. To watch "
            f"all, let torchrun start them: {_TORCHRUN.format(self._ranks + self._is_one)}"
        ]


def _processes(number: int) -> str:
    return f"{number} process{'es' if number > 1 else ''}"


def _is_rank(environment: object) -> bool:
    """Whether a process is told that it is a rank, and another one than this."""
    if type(environment) is not dict:
        return False
    told = (name for name in _NAMES if name in environment)
    return any(dict.get(environment, name) != os.environ.get(name) for name in told)
