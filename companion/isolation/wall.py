"""The wall between our own work and the script that is watched: it ends as it would alone.

What we do while a script runs is done behind this wall. It asks no object of the script's and
runs none of its code; torch's modes do not see it (`aside`); nothing is read while torch records
what runs (`is_calm`). If our own work fails, the watching ends, not the script; what comes from
outside while we work, a signal's exception above all, goes on to the script as if we were not
there (`is_ours`, `leave_out_us`).
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import warnings
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, TypeVar

import torch
import torch._guards

R = TypeVar("R")

_OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep  # the whole package
_TORCH = os.path.dirname(torch.__file__) + os.sep
_STDLIB = (sysconfig.get_paths()["stdlib"] + os.sep, "<frozen ", "<string>")


def aside(act: Callable[..., R], *args: Any) -> R:
    """Call this where torch's modes, and tensors that are told of every call, do not see it.

    The guards are torch's own in C++: no signal can come between one and its end.

    Example:
        >>> from torch.overrides import TorchFunctionMode
        >>> class Loud(TorchFunctionMode):
        ...     def __torch_function__(self, function, types, args=(), kwargs=None):
        ...         print(function.__name__)
        ...         return function(*args, **(kwargs or {}))
        >>> x = torch.ones(2)
        >>> with Loud():
        ...     total = x.sum()
        ...     total = aside(x.sum)
        sum
    """
    with _DisableTorchFunction():
        if _modes():
            with torch._C._DisableTorchDispatch():
                return act(*args)
        return act(*args)


def keep_out_dynamo(*functions: Callable[..., Any]) -> None:
    """Keep `torch.compile` from compiling these, and what they call, as if the user had.

    Whatever Python function runs while a compiled one does is compiled: a trace function and a
    callback of `sys.monitoring` as well.
    """
    dynamo = torch._C._dynamo.eval_frame
    if hasattr(dynamo, "_FrameExecStrategy"):
        skip = dynamo._FrameAction.SKIP
        for function in functions:
            code = function.__code__
            dynamo.set_code_exec_strategy(code, dynamo._FrameExecStrategy(skip, skip))


def is_calm() -> bool:
    """Whether values may be read: not while torch traces, transforms, fakes or captures what runs.

    Nor while it compiles: memory was seen to be damaged by a look at a parameter meanwhile.
    """
    if _modes() and any(map(torch._C._get_dispatch_mode, _INNER)):
        return False
    return (
        _tracing() is None
        and _transform() is None
        and _compiling() is None
        and not (_has_cuda() and torch.cuda.is_current_stream_capturing())
    )


# Asked after every line, and looked up here: torch's own dicts of names are large.
_DisableTorchFunction = torch._C.DisableTorchFunction
_modes = torch._C._len_torch_dispatch_stack
_tracing = torch._C._get_tracing_state
_transform = torch._C._functorch.peek_interpreter_stack
_compiling = torch._guards.CompileContext.try_get
_has_cuda: Callable[[], bool] = torch.cuda.is_initialized
_MODES = torch._C._TorchDispatchModeKey
_INNER = (_MODES.FAKE, _MODES.PROXY, _MODES.FUNCTIONAL)


# What our own code can raise. It knows no deadline, and no exception of anybody else's.
_FOREIGN = (TimeoutError, InterruptedError, EOFError, StopAsyncIteration)


def is_ours(error: BaseException) -> bool:
    """Whether an exception is a failure of our own work, not one that came while we worked.

    A signal's handler runs between any two instructions of whatever runs, and a debugger or
    another thread can raise here, too. Those are the script's: `Exception` alone tells nothing.

    Example:
        >>> import signal
        >>> def handler(number, frame):
        ...     raise RuntimeError("deadline")
        >>> def work():
        ...     signal.raise_signal(signal.SIGTERM)
        >>> before = signal.signal(signal.SIGTERM, handler)
        >>> try:
        ...     work()
        ... except RuntimeError as error:
        ...     is_ours(error)
        False
        >>> _ = signal.signal(signal.SIGTERM, before)
    """
    if not isinstance(error, Exception) or isinstance(error, _FOREIGN):
        return False
    if type(error).__module__.partition(".")[0] not in ("builtins", "torch"):
        return False
    return _first_foreign(error.__traceback__) is None


def leave_out_us(error: BaseException) -> None:
    """Let an exception's traceback begin where the script's code took over.

    A bare `raise` then goes on with that. Python 3.10 goes on with the traceback that it has: the
    frame that raises again stays in it.
    """
    whole = error.__traceback__
    beyond = _first_foreign(whole)
    if sys.version_info < (3, 11) and whole is not None and beyond is not whole:
        whole.tb_next = beyond
    BaseException.with_traceback(error, beyond)


def _first_foreign(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None:
        frame = traceback.tb_frame
        name = frame.f_code.co_filename
        if not name.startswith(_OWN) and (not _is_lent(name) or _handles_a_signal(frame)):
            return traceback
        traceback = traceback.tb_next
    return None


def _is_lent(name: str) -> bool:
    """Whether a file is of a library whose code our own work calls."""
    if name.startswith(_TORCH):
        return True
    return name.startswith(_STDLIB) and "-packages" not in name


def _handles_a_signal(frame: FrameType) -> bool:
    """Whether a function was given the frame that it interrupted: torch has such handlers, too."""
    values = list(frame.f_locals.values())
    values += [one for value in values if type(value) is tuple for one in value]
    return any(type(value) is FrameType for value in values)


def tell(words: str, *, stacklevel: int) -> None:
    """Warn; where warnings are errors, say it on stderr: the script goes on all the same."""
    try:
        warnings.warn(words, RuntimeWarning, stacklevel=stacklevel + 1)
    except RuntimeWarning:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(f"RuntimeWarning: {words}", file=sys.stderr)
