"""Watching a training that somebody else calls: what the callbacks and the fixture share."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from torch.optim.optimizer import Optimizer

from companion.command.scout.scout import Scout
from companion.records.finding import Finding
from companion.records.visible import encodable
from companion.render.counts import count_steps
from companion.render.phases import watched_in_words
from companion.render.terminal import columns_of
from companion.tracing.result import Trace, in_words


class Watching:
    """Watches the first steps of a training, wherever its loop stands.

    Args:
        steps: How many steps to watch.
        report: Whether to say on stderr what was seen, once they are over.
    """

    def __init__(self, steps: int, *, report: bool) -> None:
        if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
            raise ValueError(f"steps must be a positive integer, not {steps!r}")
        self._steps, self._report = steps, report
        self._scout: Scout | None = None
        self._said = False

    def begin(self, optimizers: Sequence[Optimizer] | None = None) -> None:
        """Wait for the training; with its `optimizers` where it is under way already."""
        if self._scout is None:
            self._scout = Scout(self._steps, self._say)
            self._scout.start(optimizers)

    def end(self, error: BaseException | None = None, *, over: bool = False) -> None:
        """It has ended; `over` where no step of it can follow."""
        if self._scout is not None and self._scout.running:
            self._scout.stop(error, over=over)
        self._say()

    @property
    def routine(self) -> Trace | None:
        """What was seen; None as long as no training has begun."""
        return None if self._scout is None else self._scout.routine

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with it."""
        return [] if self.routine is None else self.routine.diagnose()

    @property
    def steps(self) -> int:
        """How many steps were watched."""
        return 0 if self.routine is None else count_steps(self.routine.records)

    @property
    def problem(self) -> str | None:
        """Why nothing was seen, where that is known."""
        if self._scout is None or self.steps:
            return None
        return self._scout.problem or "; ".join(self._scout.unwatched) or None

    def text(self, width: int | None = None) -> str:
        """What was seen, in words; the lines in so many columns."""
        if self.routine is None:
            return f"no step was seen{f': {self.problem}' if self.problem else ''}"
        lines = in_words(self.routine, width)
        return f"{watched_in_words(self.routine.records, len(self.findings))}\n{lines}"

    def _say(self) -> None:
        if self._report and not self._said and self._scout is not None:
            self._said = True
            words = f"companion: {self.text(columns_of(sys.stderr))}\n"
            if sys.stderr is not None:
                sys.stderr.write(encodable(words, getattr(sys.stderr, "encoding", None)))


class Callback:
    """A callback's own part: it watches the first steps of a training that a library runs.

    Args:
        steps: How many steps to watch.
        report: Whether to say on stderr what was seen; it stands in `routine` and `findings`, too.
    """

    def __init__(self, steps: int = 3, *, report: bool = True) -> None:
        super().__init__()
        self._watching = Watching(steps, report=report)

    @property
    def routine(self) -> Trace | None:
        """The trace of these steps; None before the training has begun."""
        return self._watching.routine

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with them."""
        return self._watching.findings
