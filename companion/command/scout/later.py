"""Watching on, after the first steps, where lines come that have not run before."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from torch.optim.optimizer import Optimizer

from companion.command.scout.news import News, news
from companion.isolation.wall import aside, is_calm
from companion.tracing.follower import Follower
from companion.tracing.measure.watched import Watched
from companion.tracing.recorder import Recorder

MOST = 3  # times

Find = Callable[[FrameType], tuple[list[FrameType], Watched | None, list[str]]]


class Later:
    """Watches from a new line to the end of the next step, some times.

    Args:
        follower: Who has watched the first steps.
        recorder: And recorded them.
        find: Gives the frames to be followed, by the innermost one, and what is to be watched.
        passes: Asked what to do with an exception of our own work.

    Attributes:
        first: How many lines were recorded in the first steps, once they are over.
    """

    def __init__(
        self,
        follower: Follower,
        recorder: Recorder,
        find: Find,
        passes: Callable[[BaseException], bool],
    ) -> None:
        self._follower, self._recorder, self._find = follower, recorder, find
        self._passes = passes
        self._times = 0
        self.first: int | None = None
        self._news: News | None = None

    def wait(self) -> None:
        """What was to be watched is over; wait for a line that is new."""
        if self._follower.running:
            self._follower.stop(None)
        if self._recorder.extent.is_complete and self._times < MOST:
            self._news = news(self._follower.codes, self._go_on, self._passes)
            records = self._recorder.records
            self.first = self.first or len(records)
            self._news.learn(records, self.first)
            self._news.begin()

    def _rest(self) -> None:
        waiting, self._news = self._news, None
        if waiting is not None:
            waiting.end()

    def on_step(self, optimizer: Optimizer, args: Any, kwargs: Any, frame: FrameType) -> None:
        """An optimizer has stepped; `frame` is the innermost one that runs."""
        if self._follower.running:
            self._follower.on_step(optimizer, args, kwargs)
        elif self._news is not None and self._recorder.knows(optimizer):
            self._recorder.pass_over(optimizer)
            self._news.on_step(frame)

    def _go_on(self, frame: FrameType) -> None:
        """A line begins that has not run before: watch from here, if all is as it was."""
        self._rest()
        self._times += 1
        if is_calm():
            aside(self._begin, frame)

    def _begin(self, frame: FrameType) -> None:
        frames, watched, _ = self._find(frame)
        if watched is not None and self._recorder.again(watched):
            self._follower.start()
            self._follower.follow(frames, begun=True)
            self._follower.install()
            self._follower.record_line_under_way()

    def abandon(self) -> None:
        """Watch nothing any more."""
        self._rest()
        self._follower.abandon()

    def stop(self, error: BaseException | None) -> None:
        """The script is over."""
        self._rest()
        if self._follower.running:
            self._follower.stop(error)
