"""What the guard says: one `Sighting` for each thing that it saw after the watched steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "not-finite", "norm", "zero-lr", "skipped", "in-no-optimizer", "never-steps"
]


@dataclass(frozen=True, slots=True)
class Sighting:
    """One thing that was seen while the training ran on.

    Attributes:
        kind: "not-finite", a gradient with NaN or infinity; "norm", a norm far above those before;
            "zero-lr", steps with a learning rate of 0; "skipped", steps that a GradScaler skipped;
            "in-no-optimizer", parameters that were thawed, and nobody holds; "never-steps", an
            optimizer that made no step.
        optimizer: The name of the optimizer, or of the GradScaler's class.
        step: Which step of it this was, counted from 1 since the watching began.
        exact: Whether it was this step; if not, this is the first look that showed it.
        parameter: The parameter that it was seen on; None where it is not about one.
        observed: What was seen, with its numbers.

    Example:
        >>> seen = Sighting("not-finite", "optimizer", 41, False, "fc1.bias", "it is NaN")
        >>> seen.words
        'optimizer, by step 41: it is NaN'
        >>> seen.to_dict()["step"]
        41
    """

    kind: Kind
    optimizer: str
    step: int
    exact: bool
    parameter: str | None
    observed: str

    @property
    def words(self) -> str:
        """All of it in a sentence."""
        if self.kind == "never-steps":
            return f"{self.optimizer}: {self.observed}"
        return f"{self.optimizer}, {'' if self.exact else 'by '}step {self.step}: {self.observed}"

    def to_dict(self) -> dict[str, Any]:
        """Its attributes by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
