"""A process that has imported torch, and runs each script in a fork of itself.

It reads a line of JSON for each script, `[mode, source, folder]`, and answers with the exit status.
The folder holds script.py; stdout, stderr, report (what companion says), report.json, records (what
traces hold) and left (what they have left behind in the process) are written there.
"""

from __future__ import annotations

import builtins
import gc
import json
import os
import signal
import sys
import threading
import time
import types
from importlib.machinery import SourceFileLoader
from types import CodeType, TracebackType
from typing import Any

import torch
import torch._dynamo
import torch._subclasses.fake_tensor
import torch.func
import torch.fx.experimental.proxy_tensor
import torch.optim.optimizer as optimizers
import torch.utils.checkpoint
import torch.utils.data

from companion.command import main as command
from companion.command import report, starting
from companion.tracing.result import Trace
from companion.tracing.sources.choice import VARIABLE
from tests.package.fork_server import redirect
from tests.package.isolation.fuzzing.parts import HUNG

SECONDS = 30  # then a script hangs

_KEPT: list[object] = []
INTERRUPTED = 130  # as a shell says it


def serve() -> None:
    """Answer until nobody asks."""
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # a fork then neither walks nor copies what is there
    for line in sys.stdin:
        mode, source, folder = json.loads(line)
        child = os.fork()
        if not child:
            os.environ.update({VARIABLE: source} if source else {})
            run(mode, folder)
        print(_wait(child), flush=True)


def _wait(child: int) -> int:
    end = time.monotonic() + SECONDS
    pause = 0.001
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(0.02, pause * 1.2)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return HUNG


def run(mode: str, folder: str) -> None:
    """Run the folder's script in this process, and end the process."""
    os.chdir(folder)
    redirect(folder)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["WATCHED"] = "yes" if mode == "trace" else ""
    path = os.path.join(os.getcwd(), "script.py")
    sys.path[0] = os.path.dirname(path)
    first: CodeType = _alone.__code__
    traces = _kept_traces()
    code = 0
    try:
        if mode == "command":
            first = starting.run.__code__
            _report_elsewhere()
            command.main(["--json", "report.json", "script.py"])
        else:
            _alone(path)
    except SystemExit as error:
        code = _status(error)
    except BaseException as error:
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        inner = _inside(error.__traceback__, first)
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        inner = None
    sys.last_traceback = sys.last_value = None
    for value in list(vars(sys.modules["__main__"]).values()):
        if isinstance(value, types.GeneratorType):
            value.close()  # as Python does at its end
    sys.stdout.flush()
    sys.stderr.flush()
    for name, text in ("left", _left()), ("records", _records(traces)):
        with open(name, "w") as file:
            file.write(text)
    os._exit(code)


def _alone(path: str) -> None:
    """Run a script as Python does."""
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __annotations__={},
        __builtins__=builtins,
        __file__=path,
        __loader__=SourceFileLoader("__main__", path),
        __cached__=None,
    )
    sys.modules["__main__"] = module
    sys.argv = ["script.py"]
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec", dont_inherit=True)
    exec(code, module.__dict__)


def _report_elsewhere() -> None:
    """What companion says goes into a file, so that stderr is the script's own."""
    original = report.Report.__init__

    def begin(self: report.Report, *args: object) -> None:
        script, sys.stderr = sys.stderr, open("report", "w")  # noqa: SIM115
        _KEPT.append(sys.stderr)  # else Python would warn of it, where it warns of all
        try:
            original(self, *args)  # type: ignore[arg-type]
        finally:
            sys.stderr = script

    report.Report.__init__ = begin  # type: ignore[assignment,method-assign]


def _kept_traces() -> list[Trace]:
    """All that will be made."""
    traces: list[Trace] = []
    original = Trace.__init__

    def begin(self: Trace, *args: Any) -> None:
        original(self, *args)
        traces.append(self)

    Trace.__init__ = begin  # type: ignore[method-assign,assignment]
    return traces


def _records(traces: list[Trace]) -> str:
    """What they hold."""
    texts = []
    for one in traces:
        one.save("records")
        with open("records") as file:
            texts += [file.read().replace('}, {"file', '},\n{"file'), *one.unwatched]
    return "\n".join(texts)


def _status(error: SystemExit) -> int:
    """The exit status that Python makes of it."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


def _inside(traceback: TracebackType | None, first: CodeType) -> TracebackType | None:
    """The traceback without the frames that a script run by python does not have."""
    inner = traceback
    while inner is not None and inner.tb_frame.f_code is not first:
        inner = inner.tb_next
    return traceback if inner is None else inner.tb_next


def _left() -> str:
    """What is not as it should be in a process that no trace watches any more."""
    tools: list[str | None] = []
    if sys.version_info >= (3, 12):
        tools = [*map(sys.monitoring.get_tool, range(6))]
    things = {
        "trace function": sys.gettrace(),
        "trace function of new threads": threading.gettrace(),
        "tools": [name for name in tools if name],
        "hooks before steps": len(optimizers._global_optimizer_pre_hooks),
        "hooks after steps": len(optimizers._global_optimizer_post_hooks),
    }
    return "".join(f"{name}: {thing}\n" for name, thing in things.items() if thing)


if __name__ == "__main__":
    serve()
