"""A callback for Lightning: `Trainer(callbacks=[Companion()])`."""

from __future__ import annotations

from typing import Any

from companion.course.extras import require
from companion.integrations.watching import Watching
from companion.records.finding import Finding
from companion.tracing.result import Trace

_lightning: Any = require(
    "lightning.pytorch", extra="lightning", purpose="companion.integrations.lightning"
)


class Companion(_lightning.Callback):  # type: ignore[misc]  # it may not be installed
    """Watches the first steps of `fit`, and says what they changed and what is wrong.

    Args:
        steps: How many steps to watch.
        report: Whether to say it on stderr; else it stands in `routine` and `findings`.

    Attributes:
        watching: Where all of it comes from.
    """

    def __init__(self, steps: int = 3, *, report: bool = True) -> None:
        super().__init__()
        self.watching = Watching(steps, report=report)

    @property
    def routine(self) -> Trace | None:
        """The trace of these steps; None before the training has begun."""
        return self.watching.routine

    @property
    def findings(self) -> list[Finding]:
        """What is wrong."""
        return self.watching.findings

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The training begins."""
        self.watching.begin(trainer.optimizers)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """It has ended."""
        self.watching.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """It has failed."""
        self.watching.end(exception)
