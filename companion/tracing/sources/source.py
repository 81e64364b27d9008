"""What tells of calls and lines, and whoever is told: what `settrace` and `monitoring` share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import CodeType, FrameType
from typing import Any, Literal, NamedTuple, TypeAlias

from companion.tracing.calls import Call
from companion.tracing.place import Place

Phase: TypeAlias = Literal[
    "off",  # not started, or over
    "watching",  # lines are followed
    "dozing",  # no line is followed until the next backward or step
    "paused",  # nothing is told, there is only the optimizers' step hook
    "failed",  # an exception came while we worked, and nothing is told any more
    "deep",  # the same, where the stack had become too deep to call anything
]


class Taken(NamedTuple):
    """What else has ended the telling: "something else ...".

    Attributes:
        did: What it did, in words.
        had: The same, later.
        warns: Whether it is worth a warning.
    """

    did: str
    had: str
    warns: bool = True


class Listener(ABC):
    """Whoever is told.

    Attributes:
        phase: What it does now.
        thread: The thread that is watched.
        code: A call of this is told in any case.
        base: The outermost frame that is followed.
        places: The frames that are followed, outermost first.
    """

    def __init__(self) -> None:
        self.phase: Phase = "off"
        self.thread = -1
        self.code: CodeType | None = None
        self.base: FrameType | None = None
        self.places: list[Place] = []

    @property
    def running(self) -> bool:
        """Whether it was started, and is not over."""
        return self.phase != "off"

    @property
    def is_still(self) -> bool:
        """Whether it wants to be told nothing now."""
        return self.phase in ("paused", "deep")

    def place_of(self, frame: FrameType) -> Place | None:
        """The place of a frame that is followed."""
        for place in reversed(self.places):
            if place.frame is frame:
                return place
        return None

    @abstractmethod
    def meaning(self, code: CodeType) -> Call:
        """What a call of this code means; asked once for each code."""

    @abstractmethod
    def on_call(self, frame: FrameType, call: Call, previous: Any = None) -> bool:
        """Python calls a function (or goes on with a generator): whether to tell of its lines.

        `previous` is another's trace function for that frame.
        """

    def on_line(self, place: Place) -> None:
        """A followed frame comes to a line."""
        raise NotImplementedError

    def on_return(self, place: Place) -> bool:
        """A followed frame returns, yields or raises: whether it is followed no more."""
        raise NotImplementedError

    @abstractmethod
    def passes(self, error: BaseException) -> bool:
        """Whether an exception in our own work goes on to the script; then it is without us."""

    @abstractmethod
    def abandon(self) -> None:
        """Leave everything as it was found."""


class Source(ABC):
    """What tells a listener of calls, and of the lines of the frames that it follows."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.calls: dict[int, Call] = {}  # by the id of the code
        self._kept: list[CodeType] = []  # so that its id stays its own

    def meaning(self, code: CodeType) -> Call:
        """What a call of this code means to the listener."""
        call = self.calls.get(id(code))
        if call is None:
            self._kept.append(code)
            call = self.calls[id(code)] = self.listener.meaning(code)
        return call

    def forget(self) -> None:
        """Keep no code alive."""
        self.calls, self._kept = {}, []

    @abstractmethod
    def take(self) -> bool:
        """Remember what is there, and keep it until `end`; whether this can be done here."""

    @abstractmethod
    def install(self) -> None:
        """Tell of calls from now on."""

    @abstractmethod
    def resume(self) -> None:
        """The same, after `rest`."""

    @abstractmethod
    def follow(self, place: Place) -> None:
        """Tell of the lines of a frame that runs already."""

    @abstractmethod
    def let_go(self, places: Sequence[Place]) -> None:
        """Tell of no line any more; these are all that were followed."""

    @abstractmethod
    def rest(self, places: Sequence[Place]) -> None:
        """Tell nothing, and cost nothing, for a while."""

    @abstractmethod
    def end(self, places: Sequence[Place]) -> None:
        """Leave everything as it was found."""

    @abstractmethod
    def replace(self, other: Source) -> None:
        """Stand where another one stood that is over."""

    @abstractmethod
    def fail(self) -> None:
        """An exception goes on to the script: tell nothing any more."""

    @abstractmethod
    def taken(self) -> Taken | None:
        """What else has ended the telling, if anything has."""
