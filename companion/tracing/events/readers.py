"""All that is read off a line itself, its text and its variables, before and after it runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import FrameType

from companion.records.bare import bare
from companion.records.line import Event, State
from companion.records.syntax import read_grads
from companion.tracing.events import pairs, variables
from companion.tracing.events.clues import Clues
from companion.tracing.events.graph import Spent
from companion.tracing.events.hoards import hoards
from companion.tracing.events.once import Once
from companion.tracing.events.uncalled import uncalled
from companion.tracing.measure.watched import Watched
from companion.tracing.place import Place


@lru_cache(maxsize=4096)
def _is_told(text: str) -> bool:
    """Whether any of those that look before a line would look at this one."""
    return bool(read_grads(text) or bare(text) or text.startswith("for "))


class Readers:
    """Asks each of them in turn; they keep nothing of the script's alive."""

    def __init__(self, watched: Watched, spent: Spent) -> None:
        self._watched, self._spent = watched, spent
        self._clues, self._once = Clues(watched.networks), Once()

    def before(self, place: Place) -> Iterator[Event]:
        """A line is about to run."""
        text = place.current.text
        if _is_told(text):
            yield from variables.before(text, place.frame)
            yield from uncalled(text, place.frame)
            yield from self._once.before(place)
        yield from self._clues.before(place)

    @property
    def listens(self) -> bool:
        """Whether calls of layers are of interest, too."""
        return self._clues.listens

    def called(self, frame: FrameType) -> Iterator[Event]:
        """It calls something of torch's."""
        return self._clues.called(frame)

    def after(
        self, place: Place, events: Sequence[Event], state: State, *, begun: bool
    ) -> Iterator[Event]:
        """It has ended, with these events and in this state; or only a part of it (`begun`)."""
        if begun:
            self._clues.after_part(events, state)
            return
        text = place.current.text
        if variables.reads(text):
            yield from variables.after(text, place.frame, self._spent)
        yield from pairs.after(text, place.frame, tuple(events))
        if not place.raised:
            yield from hoards(self._watched.networks, events)
            yield from self._clues.after(place, events, state)
