"""What a trace is made of: immutable records, one for each executed line.

From simple to complex: `Event` (a call of torch that a line made), `State` (what was there at one
moment), `LineRecord` (one line: its state before and after, and its events).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any

from companion.records.phase import Phase
from companion.records.reading import Reading
from companion.records.value import Value


def _frozen(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """A read-only mapping; one that is read-only already is shared, not copied."""
    return mapping if isinstance(mapping, MappingProxyType) else MappingProxyType(dict(mapping))


def _plain(record: Any) -> tuple[Any, ...]:
    """The fields of a record in order, read-only mappings as dicts: pickle knows no proxy."""
    values = (getattr(record, f.name) for f in fields(record))
    return tuple(dict(v) if isinstance(v, MappingProxyType) else v for v in values)


@dataclass(frozen=True, slots=True)
class Event:
    """A call of torch that a line made, directly or in what it called.

    Attributes:
        kind: "forward", "backward", "step" (an optimizer's), "clear" (a zero_grad), "clip",
            "scale", "unscale", "scaler step" (a GradScaler's), "schedule" (a scheduler's step),
            "shapes" (a loss between tensors of different shapes), "fed" (a criterion is given what
            it does not take), "across" (or a softmax over another dimension), "non-leaf" (a `.grad`
            that is never kept), "graph kept" (a variable that holds a growing graph), "unheld"
            (parameters that a loss reaches and no optimizer holds), "not called" (a method that is
            only named), "used up" (a loop over what gives each item once), "no batch" (a loop over
            a loader that is empty), "constant term" (one of a loss's terms without a graph),
            "cut between" (a layer is called with what has no graph), "all zero" (one is called with
            zeros alone), "not finite" (a tensor with NaN or infinity in it is read for the first
            time), "grad asked" (by `torch.autograd.grad`), "no effect" (a statement that did
            nothing), "into itself" (a tensor that was written so), "loads itself" (a network, from
            its own tensors), "misnamed" (an attribute that torch does not read), "takes part" (a
            call of a network that only takes part), "dropout" (one that is on in eval mode),
            "same rows" (a loader begun anew fetches what it fetched before) or "end" (a script is
            over).
        name: What it was done to or by: a network, an optimizer, a function, a variable; ""
            for a backward.
        details: Numbers, texts and tuples of them, by name; `companion.records.kinds.KINDS` says
            which ones a kind has, and what they mean.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     net(torch.ones(4, 2)).sum().backward()
        >>> [(event.kind, event.name) for event in routine.records[0].events]
        [('forward', 'net'), ('backward', '')]
    """

    kind: str
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", _frozen(self.details))

    def __reduce__(self) -> tuple[type[Event], tuple[Any, ...]]:
        return Event, _plain(self)


@dataclass(frozen=True, slots=True)
class State:
    """What each parameter of the watched networks, its gradient, and each buffer read at a moment.

    Names are those of `named_parameters()` and `named_buffers()`, with the network's name in front
    ("critic.fc.bias") where several networks are watched.

    Attributes:
        gradients: Reading by parameter name; None where there is no gradient.
        parameters: Reading by parameter name; None where a lazy parameter has no values yet.
        requires_grad: Whether autograd computes a gradient for it, by parameter name.
        training: Whether the module is in training mode, by module name; "" is the network.
        learning_rates: One float for each parameter group, by optimizer name.
        scale: The factor of the GradScaler, if one is watched.
        buffers: Reading by buffer name, such as "bn.running_mean".
        others: Reading by name of what belongs to networks that only take part: a teacher, a
            moving average; "ema.fc.bias".

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     net(torch.ones(4, 2)).sum().backward()
        >>> (record,) = routine.records
        >>> record.before.gradients["bias"] is None, record.after.gradients["bias"].sum
        (True, 4.0)
    """

    gradients: Mapping[str, Reading | None]
    parameters: Mapping[str, Reading | None]
    requires_grad: Mapping[str, bool] = field(default_factory=dict)
    training: Mapping[str, bool] = field(default_factory=dict)
    learning_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    scale: float | None = None
    buffers: Mapping[str, Reading | None] = field(default_factory=dict)
    others: Mapping[str, Reading | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            given = getattr(self, name)
            if not isinstance(given, MappingProxyType):
                object.__setattr__(self, name, MappingProxyType(dict(given)))

    def __reduce__(self) -> tuple[type[State], tuple[Any, ...]]:
        return State, _plain(self)


def sets(before: State, after: State) -> bool:
    """Whether a learning rate or a mode is another after than before."""
    rates, modes = before.learning_rates, before.training
    return after.learning_rates is not rates or after.training is not modes


_MAPPINGS = [one.name for one in fields(State) if one.name != "scale"]


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
        events: The calls of torch that the line made, in order.
        function: Name of the function the line stands in; "" at the top of a file or cell.
        depth: 0 for the lines of the block, 1 for those of a function followed from there, ...
        step: The training step it belongs to, counted from 0 (see `companion.tracing.steps`).
        values: The tensors and numbers that the line bound to variables.
        changed_buffers: Names of the buffers whose values this line changed, such as the running
            statistics of a batch norm.
        changed_others: The same of networks that only take part.
        again: Whether an earlier record shows the same run of the line: up to its call of a
            function whose lines are watched, or to the next of several calls that stand on it.
        phase: Which part of the line it is, where a library runs a loop in it; else None.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     net(torch.ones(4, 2)).sum().backward()
        >>> (record,) = routine.records
        >>> record.source, record.changed_gradients
        ('net(torch.ones(4, 2)).sum().backward()', ('weight', 'bias'))
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
    events: tuple[Event, ...] = ()
    function: str = ""
    depth: int = 0
    step: int = 0
    values: tuple[Value, ...] = ()
    changed_buffers: tuple[str, ...] = ()
    changed_others: tuple[str, ...] = ()
    again: bool = False
    phase: Phase | None = None

    def __setstate__(self, state: list[Any]) -> None:  # a pickle of before may lack the last ones
        later = _LATER[len(state) - len(fields(self)) :]
        for one, value in zip(fields(self), [*state, *later], strict=False):
            object.__setattr__(self, one.name, value)

    @property
    def place(self) -> tuple[str, int]:
        """File and line, the same for every run of a line."""
        return self.file, self.line


_LATER = [(), (), (), False, None]  # what the last fields are in a pickle that lacks them
