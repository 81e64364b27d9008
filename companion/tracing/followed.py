"""The frames that are followed, outermost first, and the statement that is under way in each."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import CodeType, FrameType

from companion.isolation.libraries import is_in_library
from companion.tracing.code import source as text
from companion.tracing.options import Options
from companion.tracing.place import Place
from companion.tracing.recorder import Recorder
from companion.tracing.sources.settrace import Settrace
from companion.tracing.sources.source import Listener, Source


class Followed(Listener):
    """Knows the followed frames; a `Follower` says what happens in them."""

    def __init__(self, recorder: Recorder, options: Options) -> None:
        super().__init__()
        self._options, self._recorder = options, recorder
        self._texts: dict[int, tuple[CodeType, text.Source]] = {}
        self._files: dict[str, text.Source] = {}
        self._problem: str | None = None
        self._source: Source = Settrace(self)
        self._prepare()

    def _prepare(self, code: CodeType | None = None) -> None:
        self.thread = threading.get_ident()
        self.base, self.places = None, []
        self.code = self._awaited = code  # of the outermost frame, once it is called
        self._header: text.Statement | None = None
        self._failure: int | None = None  # the id of the exception that came while we worked

    def follow(self, frames: Sequence[FrameType], *, begun: bool = False) -> None:
        """Watch these frames, outermost first, from the line that is under way in each.

        With `begun` these are lines of the loop; without, the one that enters the trace.
        """
        self.base = frames[0]
        if self.is_still:
            return
        for frame in frames:
            self._source.follow(self._enter(frame, begun=begun))
        if not begun:
            self._header = self.places[0].header

    def _enter(self, frame: FrameType, *, begun: bool = False) -> Place:
        code = frame.f_code
        if id(code) not in self._texts:
            self._texts[id(code)] = code, self._text(frame)
        source = self._texts[id(code)][1]
        header = None if begun else source.at(frame.f_lineno)
        if begun and frame is self.base:
            header = self._header
        place = Place(frame, len(self.places), source, header)
        self.places.append(place)
        return place

    def _text(self, frame: FrameType) -> text.Source:
        """The source of a frame's code; a library's long file is read once for all functions."""
        filename = frame.f_code.co_filename
        if not is_in_library(filename):
            return text.Source(frame)  # a name such as "<string>" may stand for several
        if filename not in self._files:
            self._files[filename] = text.Source(frame)
        return self._files[filename]

    def record_line_under_way(self) -> None:
        """The innermost line under way has just begun; all that are belong to the first step."""
        self.places[-1].recorded = False
        for place in self.places:
            self._recorder.count((id(place.frame.f_code), place.current.first))
        self._recorder.begin(self.places[-1])
