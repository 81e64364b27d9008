"""A callback for Lightning: `Trainer(callbacks=[Companion()])`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from companion.course.extras import require
from companion.integrations.watching import Callback

if TYPE_CHECKING:

    class _Callback:
        """Lightning's own; it need not be installed."""

else:
    # Who has the older package has a Trainer that refuses the newer one's callbacks.
    _name = "pytorch_lightning" if "pytorch_lightning" in sys.modules else "lightning.pytorch"
    _Callback = require(
        _name, extra="lightning", purpose="companion.integrations.lightning"
    ).Callback


class Companion(Callback, _Callback):
    """Watches the first steps of `fit`, and says what they changed and what is wrong.

    `Companion(steps=3, report=True)`; afterwards `routine` is their trace.
    """

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The training begins."""
        self._watching.begin(trainer.optimizers)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """It has ended."""
        self._watching.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """It has failed."""
        self._watching.end(exception)
