"""A callback for the Trainer of transformers: `Trainer(..., callbacks=[Companion()])`."""

from __future__ import annotations

from typing import Any

from companion.course.extras import require
from companion.integrations.watching import Watching
from companion.records.finding import Finding
from companion.tracing.result import Trace

_transformers: Any = require(
    "transformers", extra="transformers", purpose="companion.integrations.transformers"
)


class Companion(_transformers.TrainerCallback):  # type: ignore[misc]  # it may not be installed
    """Watches the first steps of `train()`, and says what they changed and what is wrong.

    Args:
        steps: How many steps to watch.
        report: Whether to say it on stderr; else it stands in `routine` and `findings`.

    Attributes:
        watching: Where all of it comes from.
    """

    def __init__(self, steps: int = 3, *, report: bool = True) -> None:
        self.watching = Watching(steps, report=report)

    @property
    def routine(self) -> Trace | None:
        """The trace of these steps; None before the training has begun."""
        return self.watching.routine

    @property
    def findings(self) -> list[Finding]:
        """What is wrong."""
        return self.watching.findings

    def on_train_begin(self, args: Any, state: Any, control: Any, **held: Any) -> None:
        """The training begins."""
        optimizer = held.get("optimizer")
        self.watching.begin([getattr(optimizer, "optimizer", optimizer)])  # Accelerate's holds it

    def on_train_end(self, args: Any, state: Any, control: Any, **held: Any) -> None:
        """It has ended."""
        self.watching.end()
