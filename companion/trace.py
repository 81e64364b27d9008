"""The trace: which line of *your* code changed which gradients and parameters.

From simple to complex: `Trace` (what was seen), `trace` (how a user asks for it), `Tracer` (how
the lines are followed). Nothing in torch is patched; Python's own `sys.settrace` is used, and
handed back as it was found.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from traceback import format_exception_only
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from torch import nn
from torch.optim.optimizer import Optimizer

from companion.measure import Measurement, Meter
from companion.records import LineRecord
from companion.render.rows import rows
from companion.render.text import text
from companion.source import Source, Statement

if TYPE_CHECKING:
    from _typeshed import TraceFunction
    from matplotlib.figure import Figure

P = ParamSpec("P")
R = TypeVar("R")


class Trace:
    """What a `trace` saw: its records, and views of them. It can be read while it still grows.

    Attributes:
        network: The class name of the traced network.
    """

    def __init__(self, network: str) -> None:
        self.network = network
        self._records: list[LineRecord] = []

    @property
    def records(self) -> tuple[LineRecord, ...]:
        """One `LineRecord` for each executed line, in the order of execution."""
        return tuple(self._records)

    def to_rows(self) -> list[dict[str, Any]]:
        """Flat dicts, one for each line and parameter, for pandas.DataFrame or csv.DictWriter.

        Keys: index, file, line, source, raised, parameter, layer, then for the gradient and for
        the parameter after the line: changed (bool), sum, norm, nonfinite (None where there is
        no gradient).
        """
        return rows(self._records)

    def plot(
        self,
        what: Literal["gradients", "parameters"] | None = None,
        *,
        value: Literal["sum", "norm"] = "sum",
        layers: Sequence[str] | str | None = None,
    ) -> Figure:
        """The two diagrams of the training routine: what each layer holds after each line.

        Above, the sum of every layer's gradient; below, the sum of its parameters. The row before
        the first line is what was there on entering. A cell that its line changed is filled and
        framed. None is written as None, unlike 0; "≈ 0" is a sum of entries that cancel.

        Args:
            what: "gradients" or "parameters" for one of the two diagrams; both by default.
            value: "sum", or "norm" for the L2 norms.
            layers: Names of the layers to draw, in this order; all of them by default.

        Returns:
            A matplotlib figure. As the last line of a notebook cell it is shown once; elsewhere
            use `plt.show()` or `.savefig(...)`.

        Raises:
            ImportError: If matplotlib is missing; it comes with the extra "plot".
            ValueError: If nothing was recorded, a layer's name is not in the trace, or `what` or
                `value` is none of the above.
        """
        from companion.render.figure import figure  # only here: it needs the extra

        return figure(self._records, what, value=value, layers=layers)

    def __str__(self) -> str:
        return text(self._records, network=self.network)

    def __repr__(self) -> str:
        return f"<Trace of {self.network}: {len(self._records)} lines>"


def trace(net: nn.Module, optimizer: Optimizer) -> Tracer:
    """Watch your own lines: which of them changed which gradients and parameters of `net`.

    Use it as a context manager, `with trace(net, optimizer) as routine:`, or as a decorator,
    `@trace(net, optimizer)`, which keeps the `Trace` as the function's attribute `routine`. Only
    the lines of the block (of the function) are recorded; a line owns whatever it calls.

    The trace changes nothing in the training. It keeps one copy of every parameter and gradient
    to compare with, and compares them after every line. (On Python 3.10 a trace function, this
    or a debugger's, writes the traced frame's local variables back after every line; a value that
    another thread assigned to one of them meanwhile is lost. Python 3.11 mended that.)

    Args:
        net: The network, with at least one parameter.
        optimizer: The optimizer that holds its parameters.

    Returns:
        The context manager and decorator. Entering it gives a `Trace`.

    Raises:
        TypeError: If `net` is not an `nn.Module` or `optimizer` not a `torch.optim.Optimizer`.
        ValueError: If the network has no parameters, or the optimizer holds none of them.
        TypeError: On entering, if a parameter is of a kind that cannot be read; it is named.
        RuntimeError: On entering a trace that is already running.

    Example:
        >>> import torch
        >>> net = nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> inputs, labels = torch.ones(4, 2), torch.zeros(4, 1)
        >>> with trace(net, optimizer) as routine:
        ...     optimizer.zero_grad()
        ...     loss = nn.functional.mse_loss(net(inputs), labels)
        ...     loss.backward()
        ...     optimizer.step()
        >>> [(record.source, len(record.changed_gradients), len(record.changed_parameters))
        ...  for record in routine.records]  # doctest: +NORMALIZE_WHITESPACE
        [('optimizer.zero_grad()', 0, 0),
         ('loss = nn.functional.mse_loss(net(inputs), labels)', 0, 0),
         ('loss.backward()', 2, 0),
         ('optimizer.step()', 0, 2)]
    """
    _check(net, optimizer)
    return Tracer(net)


def _check(net: object, optimizer: object) -> None:
    if not isinstance(net, nn.Module):
        swapped = "; the two are swapped" if isinstance(optimizer, nn.Module) else ""
        raise TypeError(
            "trace(net, optimizer) takes the network first, a torch.nn.Module, "
            f"not {type(net).__name__}{swapped}"
        )
    if not isinstance(optimizer, Optimizer):
        raise TypeError(
            "trace(net, optimizer) takes a torch.optim.Optimizer second, "
            f"not {type(optimizer).__name__}"
        )
    parameters = list(net.parameters())
    if not parameters:
        raise ValueError(
            f"{type(net).__name__} has no parameters, so there is nothing to trace; layers kept "
            "in a plain list are not registered: use nn.ModuleList or nn.Sequential"
        )
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not any(id(p) in held for p in parameters):
        raise ValueError(
            f"this {type(optimizer).__name__} holds none of the {len(parameters)} parameters of "
            f"this {type(net).__name__}, so its step() can never move them; build the optimizer "
            "from this network: it takes net.parameters()"
        )


class Tracer:
    """Follows one frame line by line; made by `trace`."""

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._routine = Trace(type(net).__name__)
        self._running = False

    def __enter__(self) -> Trace:
        frame = sys._getframe(1)
        while frame.f_globals.get("__name__") == "contextlib" and frame.f_back is not None:
            frame = frame.f_back  # entered through an ExitStack: the lines are its caller's
        self._start(code=None)
        self._follow(frame, previous_local=frame.f_trace)
        frame.f_trace = self._on_local_event
        sys.settrace(self._on_global_event)
        return self._routine

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop(error)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Trace every call of `function`; its attribute `routine` holds the `Trace`."""
        inner = inspect.unwrap(function)
        code = getattr(getattr(inner, "__func__", inner), "__code__", None)
        if (
            not callable(function)
            or code is None
            or code.co_flags
            & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
        ):
            raise TypeError(
                f"@trace(net, optimizer) takes a plain Python function, not {function!r}; "
                "put `with trace(net, optimizer) as routine:` around the loop itself"
            )

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            if self._running:  # called from within itself: a line of the outer call owns it
                return function(*args, **kwargs)
            self._start(code=code)
            sys.settrace(self._on_global_event)
            try:
                result = function(*args, **kwargs)
            except BaseException as error:
                self._stop(error)
                raise
            reached = self._frame is not None
            self._stop(None)
            if not reached:
                warnings.warn(
                    f"no line of {function!r} ran as Python, so nothing was traced; trace it "
                    "before it is compiled or wrapped",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return result

        traced.routine = self._routine  # type: ignore[attr-defined]
        return traced

    # Starting and stopping.

    def _start(self, code: CodeType | None) -> None:
        if self._running:
            raise RuntimeError(
                "this trace is already running; for a trace inside a trace make a second one "
                "with trace(net, optimizer)"
            )
        self._meter = Meter(self._net)
        self._state = self._meter.measure().state
        self._running, self._failed = True, False
        self._awaited: CodeType | None = code  # the decorated function, until it is called
        self._frame: FrameType | None = None
        self._previous_global: TraceFunction | None = sys.gettrace()

    def _follow(self, frame: FrameType, previous_local: TraceFunction | None) -> None:
        self._awaited = None
        self._frame = frame
        self._previous_local: Any = previous_local
        self._source = Source(frame)
        # On entering, the line under way is the `with` line, or the `def` line of a function.
        self._header = self._current = self._source.at(frame.f_lineno)
        self._entry = frame.f_lasti

    def _stop(self, error: BaseException | None) -> None:
        current = sys.gettrace()
        on_top = current == self._on_global_event or self._failed
        frame, self._awaited, self._running = self._frame, None, False
        if on_top:
            sys.settrace(_still_running(self._previous_global))
        if frame is None:
            return
        if frame.f_trace == self._on_local_event or self._failed:
            frame.f_trace = _still_running(self._previous_local)
        self._frame = None
        if on_top or isinstance(_owner(current), Tracer):
            self._finish_trace(frame, error)
        elif error is None:
            warnings.warn(
                f"the trace ends at line {self._current.first}: there, something else "
                "(a debugger, or sys.settrace) took Python's tracing over",
                RuntimeWarning,
                stacklevel=3,
            )

    # Events. A tracer that was there before gets every one of them too.

    def _on_global_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        local = None
        if self._previous_global is not None:
            local = self._previous_global(frame, event, arg)
            if self._running and sys.gettrace() != self._on_global_event:
                sys.settrace(self._on_global_event)  # coverage's C tracer puts itself first
        if self._awaited is frame.f_code:
            self._follow(frame, previous_local=local)
            return self._on_local_event
        if frame is self._frame:  # a generator or coroutine that goes on
            self._previous_local = local
            return self._on_local_event
        return local

    def _on_local_event(self, frame: FrameType, event: Any, arg: Any) -> Any:
        if self._previous_local is not None:
            self._previous_local = self._previous_local(frame, event, arg) or self._previous_local
        if event == "line" and frame is self._frame:
            statement = self._source.at(frame.f_lineno)
            # Python reports each line of a statement; it begins anew only where it began before.
            if statement is not self._current or frame.f_lasti == self._entry:
                try:
                    self._finish_line()
                except BaseException:  # Ctrl-C while measuring: Python now drops this tracer
                    self._failed = True
                    raise
                self._current, self._entry = statement, frame.f_lasti
        return self._on_local_event

    # Recording.

    def _finish_line(self) -> None:
        """The line under way is over: what changed since it began is its doing."""
        measured = self._meter.measure()
        changed = measured.changed_gradients or measured.changed_parameters
        if self._current is not self._header or changed:
            self._record(self._current, measured)
        self._state = measured.state

    def _record(self, statement: Statement, measured: Measurement) -> None:
        records = self._routine._records
        records.append(
            LineRecord(
                index=len(records),
                file=self._source.name,
                line=statement.first,
                source=statement.text,
                indent=statement.indent,
                before=self._state,
                after=measured.state,
                changed_gradients=measured.changed_gradients,
                changed_parameters=measured.changed_parameters,
            )
        )

    def _finish_trace(self, frame: FrameType, error: BaseException | None) -> None:
        """The block is over; an exception that ends it is noted on the line it came through."""
        # After a failed measurement the user's own exception matters, not a second failure.
        with contextlib.suppress(Exception) if self._failed else contextlib.nullcontext():
            self._finish_line()
        traceback = None if error is None else error.__traceback__
        while traceback is not None and traceback.tb_frame is not frame:
            traceback = traceback.tb_next
        if traceback is None or error is None:
            return
        line, records = self._source.at(traceback.tb_lineno).first, self._routine._records
        for i in reversed(range(len(records))):
            if records[i].line == line:
                words = format_exception_only(type(error), error)
                records[i] = replace(records[i], raised="".join(words).strip())
                return


def _owner(function: object) -> object:
    return getattr(function, "__self__", None)


def _still_running(function: Any) -> Any:
    """The trace function to hand back: traces that ended out of order are left out."""
    while isinstance(tracer := _owner(function), Tracer) and not tracer._running:
        local = function == tracer._on_local_event
        function = tracer._previous_local if local else tracer._previous_global
    return function
