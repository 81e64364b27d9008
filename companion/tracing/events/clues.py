"""What leads to the origin of a fault: events that show nothing wrong by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from torch import nn

from companion.records.line import Event, State
from companion.tracing.events import terms
from companion.tracing.events.layers import CALL, Layers
from companion.tracing.events.outside import Outside
from companion.tracing.place import Place


class Clues:
    """Finds them as lines begin, call and end; keeps nothing alive."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        self._outside = Outside()
        self._layers = Layers(networks)
        self._begun: set[tuple[str, int]] = set()  # sums to which a line adds its first term

    def before(self, place: Place) -> Iterator[Event]:
        """A line is about to run."""
        if terms.is_begun(place.current.text, place.frame):
            self._begun.add(place.line)
        else:
            self._begun.discard(place.line)
        return self._outside.read_by(place.line, place.current.text, place.frame)

    @property
    def listens(self) -> bool:
        """Whether a layer that learns nothing is being looked for."""
        return self._layers.listens

    def called(self, frame: FrameType) -> Iterator[Event]:
        """It calls something of torch's."""
        found = self._layers.called(frame) if frame.f_code is CALL else None
        if found is not None:
            yield found

    def after(self, place: Place, events: Sequence[Event], state: State) -> Iterator[Event]:
        """It has ended well, with these events."""
        self.after_part(events, state)
        if place.line in self._begun:
            return iter(())
        return terms.after(place.current.text, place.frame)

    def after_part(self, events: Sequence[Event], state: State) -> None:
        """A part of it has ended: of a loop that a library runs, or before a function's lines."""
        if any(event.kind == "backward" for event in events):
            self._layers.note_gradients(state.gradients, state.requires_grad)
