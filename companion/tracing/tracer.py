"""`trace`, as a user asks for it, and the context manager and decorator that it gives."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import CodeType, FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from companion.isolation.wall import aside, is_ours, leave_out_us, tell
from companion.tracing.code.frames import local_variables
from companion.tracing.follower import Follower
from companion.tracing.guard.guard import Guard
from companion.tracing.measure.watched import Watchable, Watched
from companion.tracing.options import Options
from companion.tracing.recorder import Recorder
from companion.tracing.result import Trace
from companion.tracing.traced import Traced

P = ParamSpec("P")
R = TypeVar("R")


def trace(
    *watched: Watchable | Mapping[str, Watchable],
    into: Iterable[Callable[..., Any]] = (),
    every: int = 1,
    steps: int | None = 1000,
    state: bool = False,
) -> Tracer:
    """Watch your own lines: which of them changed which gradients, parameters and buffers.

    Use it as a context manager, `with trace(net, optimizer) as routine:`, or as a decorator,
    `@trace(net, optimizer)`, which keeps the `Trace` as the function's attribute `routine`. Only
    the lines of the block (of the function) are recorded; a line owns whatever it calls, except
    for the functions in `into`, whose lines are recorded as well.

    The trace changes nothing in the training: no number, no random state, no graph. It runs none
    of your code and asks your objects for nothing but their types, it reads no saved tensor, and
    nothing while torch traces, transforms, fakes or compiles what runs. If our own work fails, the
    watching ends with a warning, and the training goes on; an exception that comes meanwhile, from
    a signal's handler or Ctrl-C, goes on as it would alone. What was not looked at stands in the
    trace's `unwatched`. What can be noticed: a tool "companion" of `sys.monitoring` (before Python
    3.12, and where that has none left for us, `sys.gettrace()`), stacks (also the frame that a
    signal's handler is given), a profiler, the reference counts of networks and optimizers, torch's
    hooks of optimizer steps, and that a RecursionError comes some ten calls earlier. A step inside
    a compiled function is not seen.

    Of each line is told, too, which tensors and numbers it bound to variables: shape and dtype,
    the value of what is one number, entries that are not finite, and which of the watched
    parameters a backward from there would reach. That is read off the graph's nodes; behind a
    function of your own, or a checkpoint, it is left open what may be reached. Whatever a watched
    optimizer holds beside the networks is watched as well, such as the weights of several losses:
    as "optimizer.log_alpha", after your variable.

    A tensor counts as changed by its values; 0. and -0. are one value. That it was written at all
    is told by its version counter, and where code reaches past the counter (`.data`, `.numpy()`)
    by comparing its values with a copy made just before. Of a tensor with more than 1024 entries
    that was written, "the same values" means the same sum and the same norm, to the last bit. Of a
    DTensor this process's shard is read; of a type with a `__torch_dispatch__` of its own only
    that it was written. One whose memory was freed is as it was until it has memory again.
    A C extension that writes into a parameter and counts nothing is not seen until the next
    counted write. Buffers are read again after each call that may move running statistics, for
    torch counts no write of a batch norm. Only the thread that runs the block is followed; reading
    gradients while another thread runs a backward over the same network is a race that torch does
    not survive.
    Until Python 3.13 the variables of a function that calls `locals()` are not read. (On Python
    3.10 a trace function, this or a debugger's, writes the traced frame's local variables back
    after every line; a value that another thread assigned to one of them meanwhile is lost.
    Python 3.11 mended that.)

    Memory: what a watched step leaves behind is about 200 bytes for each tensor that it changed,
    whatever the tensor's size; copies take 512 MiB at most. After `steps` steps, or 100 000 lines,
    or when watching has taken 3 seconds and as long again as your own code, nothing more is
    watched; after 1000 lines in a row that change nothing, nothing until the next backward. Where
    watching is over before the block is, a guard looks at gradients and learning rates from then
    on, after as many steps as take 0.25 % of the time; see `Trace.guard`.

    Args:
        watched: The network and its optimizer, each under the name of your variable; or several
            of both, and a `torch.amp.GradScaler`; or one mapping from names to them. Without an
            optimizer a line that changes parameters ends a step.
        into: Your own functions and methods whose lines are to be watched too.
        every: Watch one step in so many; between them nothing is traced at all.
        steps: Stop watching after so many watched steps; None for never.
        state: Watch what the optimizers keep, too, such as momentum buffers: it stands in
            `State.others`, as "optimizer.fc.weight.momentum_buffer".

    Returns:
        The context manager and decorator. Entering it gives a `Trace`.

    Raises:
        TypeError: If something to watch is neither network, optimizer nor GradScaler, or something
            in `into` is not written in Python.
        ValueError: If a network has no parameters, an optimizer holds parameters like those of
            the networks and none of them, or `every` or `steps` is not a positive integer.
        TypeError: On entering, if a parameter is of a kind that cannot be read; it is named.
        RuntimeError: On entering a trace that is already running.

    Example:
        >>> import torch
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> inputs, labels = torch.ones(4, 2), torch.zeros(4, 1)
        >>> with trace(net, optimizer) as routine:
        ...     optimizer.zero_grad()
        ...     loss = torch.nn.functional.mse_loss(net(inputs), labels)
        ...     loss.backward()
        ...     optimizer.step()
        >>> [(record.source, len(record.changed_gradients), len(record.changed_parameters))
        ...  for record in routine.records]  # doctest: +NORMALIZE_WHITESPACE
        [('optimizer.zero_grad()', 0, 0),
         ('loss = torch.nn.functional.mse_loss(net(inputs), labels)', 0, 0),
         ('loss.backward()', 2, 0),
         ('optimizer.step()', 0, 2)]
    """
    caller = sys._getframe(1)
    own = local_variables(caller)
    names = {**own, **caller.f_globals, **own}  # its own come first
    things = Watched(watched, names, state=bool(state))
    _check_positive("every", every, "1 to watch each step")
    if steps is not None:
        _check_positive("steps", steps, "None for no end")
    if isinstance(into, str) or not isinstance(into, Iterable):
        raise TypeError(f"into takes a list of your functions, into=[train_step], not {into!r}")
    if every > 1 and not things.optimizers:
        raise ValueError("every counts an optimizer's steps: trace(net, optimizer, every=...)")
    codes = {_code(function) for function in into}
    return Tracer(things, Options(codes.__contains__, every, steps))


def _check_positive(name: str, number: object, cure: str) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise ValueError(f"{name} must be a positive integer ({cure}), not {number!r}")


def _code_of(function: object) -> CodeType | None:
    """The code of a function or method written in Python; None of anything else."""
    inner = inspect.unwrap(function) if callable(function) else function
    code = getattr(getattr(inner, "__func__", inner), "__code__", None)
    return code if isinstance(code, CodeType) else None


def _code(function: object) -> CodeType:
    """The same, for `into`."""
    code = _code_of(function)
    if code is None:
        raise TypeError(
            f"into takes functions and methods written in Python, not {function!r}; for a class "
            "or an object name its method: into=[trainer.training_step]"
        )
    return code


class Tracer:
    """Follows a block or a function line by line; made by `trace`."""

    def __init__(self, watched: Watched, options: Options) -> None:
        self._guard = Guard(watched)
        options = replace(options, ended=self._guard.begin)
        recorder = Recorder(watched, options)
        said = self._guard.sentences
        self._routine = Trace(watched.title, recorder.records, recorder.unwatched, said)
        self._follower = Follower(recorder, options)

    def __enter__(self) -> Trace:
        self._refuse_twice()
        try:
            frame: FrameType = sys._getframe(1)
            while frame.f_code.co_filename == contextlib.__file__ and frame.f_back is not None:
                frame = frame.f_back  # entered through an ExitStack: the lines are its caller's
            self._follower.start()
            self._guard.install()
            aside(self._follower.follow, [frame])
            self._follower.install()
            return self._routine
        except BaseException as error:  # what ends it half-way leaves nothing
            self._follower.abandon()
            self._guard.end(wait=False)
            if not is_ours(error):
                leave_out_us(error)
            raise

    def _refuse_twice(self) -> None:
        if self._follower.running:
            raise RuntimeError(
                "this trace is already running; for a trace inside a trace make a second one "
                "with trace(net, optimizer)"
            )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._end(error, stacklevel=2)
        except BaseException as late:
            if not is_ours(late):
                leave_out_us(late)
            raise

    def _end(self, error: BaseException | None, stacklevel: int) -> None:
        try:
            problem = self._follower.stop(error)
            self._guard.end(wait=error is None)
        except BaseException:
            self._follower.abandon()
            self._guard.end(wait=False)
            raise
        if problem is not None and error is None:
            tell(problem, stacklevel=stacklevel + 1)

    def __call__(self, function: Callable[P, R]) -> Traced[P, R]:
        """Trace every call of `function`; its attribute `routine` holds the `Trace`."""
        code = _code_of(function)
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
        follower = self._follower

        @functools.wraps(function)
        def traced(*args: P.args, **kwargs: P.kwargs) -> R:
            if follower.running:  # called from within itself: a line of the outer call owns it
                return function(*args, **kwargs)
            try:
                follower.start(code)
                self._guard.install()
                follower.install()
                result = function(*args, **kwargs)
            except BaseException as error:
                self._end(error, stacklevel=2)
                leave_out_us(error)
                raise
            reached = follower.reached
            self._end(None, stacklevel=2)
            if not reached:
                tell(
                    f"no line of {function!r} ran as Python, so nothing was traced; trace it "
                    "before it is compiled or wrapped",
                    stacklevel=2,
                )
            return result

        made = cast("Traced[P, R]", traced)
        made.routine = self._routine
        return made
