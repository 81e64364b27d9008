"""What a library did inside one of the user's lines: one part of it, between two calls of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a line that runs a whole loop, such as `trainer.train()`.

    Attributes:
        library: The function that the user's line calls, "transformers.Trainer.train".
        function: The library's function whose call of torch begins the part, as in
            "Trainer.compute_loss"; "" for what comes after a function of the user's has returned.
        loss: The number that a backward begins at, of the forward right before it, or of the
            backward itself; None where there is none, or a line of the user's shows it.
    """

    library: str
    function: str = ""
    loss: float | None = None
