"""A callback for the Trainer of transformers: `Trainer(..., callbacks=[Companion()])`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from companion.course.extras import require
from companion.integrations.watching import Callback

if TYPE_CHECKING:

    class _Callback:
        """The library's own; it need not be installed."""

else:
    _Callback = require(
        "transformers", extra="transformers", purpose="companion.integrations.transformers"
    ).TrainerCallback


class Companion(Callback, _Callback):
    """Watches the first steps of `train()`, and says what they changed and what is wrong.

    `Companion(steps=3, report=True)`; afterwards `routine` is their trace.
    """

    def on_train_begin(self, args: Any, state: Any, control: Any, **held: Any) -> None:
        """The training begins."""
        optimizer = held.get("optimizer")
        inner = getattr(optimizer, "optimizer", optimizer)  # Accelerate's stands around it
        self._watching.begin([] if inner is None else [inner])

    def on_train_end(self, args: Any, state: Any, control: Any, **held: Any) -> None:
        """It has ended."""
        self._watching.end()
