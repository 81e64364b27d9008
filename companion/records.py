"""What a trace is made of: immutable records, one for each executed line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from companion.probes import Reading


@dataclass(frozen=True, slots=True)
class State:
    """What every parameter of a network, and its gradient, read at one moment.

    Attributes:
        gradients: Reading by parameter name; None where there is no gradient.
        parameters: Reading by parameter name.
    """

    gradients: Mapping[str, Reading | None]
    parameters: Mapping[str, Reading | None]

    def __post_init__(self) -> None:
        for name in ("gradients", "parameters"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[type[State], tuple[object, object]]:
        # A mapping proxy can be neither pickled nor copied.
        return State, (dict(self.gradients), dict(self.parameters))


@dataclass(frozen=True, slots=True)
class LineRecord:
    """One executed line (a statement, however many lines it is spread over).

    Attributes:
        index: Position in the trace, counted from 0.
        file: The file's name, or "Cell In[3]" for a notebook cell.
        line: Number of the statement's first line, counted from 1.
        source: The statement as written, without its indentation; "" where it is not known.
        indent: How many columns that indentation had.
        before: The state before the line ran.
        after: The state after it.
        changed_gradients: Names of the parameters whose `.grad` this line changed: set, cleared,
            or given other values. Decided on the values, never on their sum.
        changed_parameters: Names of the parameters whose values this line changed.
        raised: "ValueError: ..." when this line ended the trace by raising; else None.
    """

    index: int
    file: str
    line: int
    source: str
    indent: int
    before: State
    after: State
    changed_gradients: tuple[str, ...]
    changed_parameters: tuple[str, ...]
    raised: str | None = None
