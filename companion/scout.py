"""Finding the training loop of a script that nobody edited, and watching its first steps.

From simple to complex: `is_own` (is this the user's code?), `_Found` (the networks and
optimizers of a running program), `_Unwatched` (steps of optimizers that nobody watched), `Scout`
(waits for the training to begin, then follows it).
"""

from __future__ import annotations

import functools
import inspect
import os
import site
import sys
import sysconfig
import threading
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from companion._frames import local_variables
from companion.events import recogniser_of
from companion.follow import Follower, Options
from companion.records import LineRecord
from companion.source import Source
from companion.trace import Trace
from companion.watched import Watchable, Watched, alive, held

if TYPE_CHECKING:
    from _typeshed import TraceFunction

_CALL = inspect.unwrap(nn.Module.__call__).__code__
_BACKWARD = torch.autograd.backward.__code__
_BUILD = inspect.unwrap(Optimizer.__init__).__code__


def _libraries() -> tuple[str, ...]:
    """Folders whose code is not the user's."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [os.path.dirname(torch.__file__), os.path.dirname(__file__)]
    folders += [site.getusersitepackages()]
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


_LIBRARIES = _libraries()


@functools.cache
def _is_in_library(filename: str) -> bool:
    path = os.path.realpath(filename)
    parts = path.split(os.sep)
    return path.startswith(_LIBRARIES) or "site-packages" in parts or "dist-packages" in parts


@functools.cache
def _is_in(filename: str, place: str) -> bool:
    path = os.path.realpath(filename)
    return path == place or path.startswith(place + os.sep)


def is_own(code: CodeType, place: str | None = None) -> bool:
    """Whether code is the user's: in a file that is in no library, or in the place that runs.

    That is a script, or the folder of a package. No lambda and no comprehension.
    """
    if code.co_name[0] == "<" and code.co_name != "<module>":
        return False
    if code.co_filename.startswith("<"):
        return False
    if place is not None and _is_in(code.co_filename, place):
        return True
    return not _is_in_library(code.co_filename)


def _is_special(code: CodeType) -> bool:
    """Whether code is a network's `forward`, or a special method."""
    return code.co_name == "forward" or code.co_name.startswith("__")


def _is_direct(frame: FrameType, caller: FrameType) -> bool:
    """Whether a function was called for the loop: not by a network's forward, nor for its data."""
    between = frame.f_back
    while between is not None and between is not caller:
        module = between.f_globals.get("__name__")
        if between.f_code is _CALL or str(module).startswith("torch.utils.data"):
            return False
        between = between.f_back
    return between is caller


class _Found:
    """Networks, optimizers and scaler of a running program, by the user's names for them.

    Attributes:
        changes: How often something new was found.
    """

    def __init__(self) -> None:
        self.optimizers: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self.forwarded: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.changes = 0

    def add_optimizer(self, optimizer: Optimizer) -> None:
        """An optimizer is being built."""
        self.optimizers.add(optimizer)
        self.changes += 1

    def add_network(self, network: nn.Module) -> None:
        """A network is called."""
        if network not in self.forwarded and any(p.requires_grad for p in network.parameters()):
            self.forwarded.add(network)
            self.changes += 1

    def belongs(self, network: nn.Module) -> bool:
        """Whether some optimizer holds a parameter of the network."""
        return _is_held(network, _all_held(filter(_is_built, self.optimizers)))

    def named(self, frames: list[FrameType]) -> dict[str, Watchable]:
        """All that is to be watched; `frames` are the user's, outermost first."""
        modules = [module for module in alive(nn.Module) if "_modules" in _attributes(module)]
        optimizers = list(filter(_is_built, alive(Optimizer)))
        everything = _all_held(optimizers)
        networks = [m for m in modules if m in self.forwarded or _is_held(m, everything)]
        outermost = _outermost(networks)
        ours = {id(p) for net in outermost for p in net.parameters()}
        fitting = [o for o in optimizers if not ours.isdisjoint(held(o))]
        scalers = [s for s in alive(GradScaler) if s.is_enabled()][:1]
        names = _names(frames)
        named: dict[str, Watchable] = {}
        everything_named: list[Watchable] = [*outermost, *fitting, *scalers]
        for one in everything_named:
            name = names.get(id(one), type(one).__name__)
            while name in named:
                name += "_"
            named[name] = one
        return named


def _attributes(one: object) -> dict[str, Any]:
    """What an object itself holds; its own `__getattr__` is not asked."""
    try:
        found = object.__getattribute__(one, "__dict__")
    except AttributeError:  # it has __slots__
        return {}
    return found if isinstance(found, dict) else {}


def _is_built(optimizer: Optimizer) -> bool:
    """Whether torch's own `__init__` has been through: not for a wrapper, nor one that failed."""
    return {"param_groups", "_optimizer_step_post_hooks"} <= _attributes(optimizer).keys()


def _all_held(optimizers: Iterator[Optimizer] | list[Optimizer]) -> set[int]:
    return {number for optimizer in optimizers for number in held(optimizer)}


def _is_held(network: nn.Module, parameters: set[int]) -> bool:
    return any(id(p) in parameters for p in network.parameters())


def _outermost(networks: list[nn.Module]) -> list[nn.Module]:
    """Those with trainable parameters that are no part of another one; criteria drop out."""
    parts = {id(m) for net in networks for m in net.modules() if m is not net}
    return [
        net
        for net in networks
        if id(net) not in parts and any(p.requires_grad for p in net.parameters())
    ]


def _names(frames: list[FrameType]) -> dict[int, str]:
    """The user's variables, and the attributes of `self`, by the id of what they hold."""
    names: dict[int, str] = {}
    for frame in frames:
        local = local_variables(frame)
        own = _attributes(local.get("self"))
        for name, value in [*own.items(), *local.items()]:
            if not name.startswith("_") and name != "self":
                names[id(value)] = name
        for name, value in [*(own.get("_modules") or {}).items()]:
            names.setdefault(id(value), name)
    return names


class _Unwatched:
    """The lines of the user's that made an optimizer step while nobody watched, and why."""

    def __init__(self, place: str | None) -> None:
        self._place = place
        self._seen: set[tuple[str, int]] = set()
        self._lines: dict[tuple[str, int], str] = {}
        self.other: list[str] = []

    def note(self, optimizer: Optimizer, why: str, frame: FrameType | None) -> None:
        """An optimizer is about to step; `frame` is the innermost one that runs."""
        while frame is not None and not is_own(frame.f_code, self._place):
            frame = frame.f_back
        if frame is None or (frame.f_code.co_filename, frame.f_lineno) in self._seen:
            return
        self._seen.add((frame.f_code.co_filename, frame.f_lineno))
        source = Source(frame)
        line = source.at(frame.f_lineno).first
        place = f"line {line} of {os.path.basename(source.name)}"
        self._lines[source.name, line] = f"{type(optimizer).__name__}.step(), {place}: {why}"

    def except_for(self, records: Sequence[LineRecord]) -> list[str]:
        """A sentence for each line that no record shows."""
        shown = {(record.file, record.line) for record in records}
        return [*self.other, *(words for line, words in self._lines.items() if line not in shown)]

    def note_library(self, frame: FrameType | None) -> None:
        """The loop runs in a library; `frame` is the innermost one that runs."""
        called = frame
        while frame is not None and not is_own(frame.f_code, self._place):
            called, frame = frame, frame.f_back
        if frame is not None and called is not None:
            self.other.append(f"the lines of the loop itself: {called.f_code.co_filename}")


class Scout:
    """Python's trace function until the training begins; then a `Follower` takes over.

    Args:
        steps: How many steps to watch.
        done: Called when they are over.
        place: The script, or the folder of the package, that runs.

    Attributes:
        routine: What was seen; None as long as no training has begun.
        problem: What made watching impossible, if anything did.
    """

    def __init__(self, steps: int, done: Callable[[], None], place: str | None = None) -> None:
        self._found = _Found()
        self._done, self._steps, self._place = done, steps, place
        self._follower: Follower | None = None
        self._tried = -1
        self._counted = Counter[int]()  # steps since the training began, by optimizer
        self._watched: set[int] = set()  # optimizers, by id
        self._missed = _Unwatched(place)
        self._insist: Callable[[], None] | None = None
        self.routine: Trace | None = None
        self.problem: str | None = None

    @property
    def unwatched(self) -> list[str]:
        """Which lines made an optimizer step unwatched, and why: a sentence for each."""
        return self._missed.except_for(() if self.routine is None else self.routine.records)

    def start(self) -> None:
        """Begin to wait for the training."""
        self._pid, self._thread = os.getpid(), threading.get_ident()
        self._top = sys._getframe(1)
        self._previous: TraceFunction | None = sys.gettrace()
        self._hook = register_optimizer_step_pre_hook(self._on_step)
        sys.settrace(self._on_call)

    def stop(self, error: BaseException | None) -> None:
        """The script is over."""
        self._hook.remove()
        if self._follower is not None and self._follower.running:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                self._follower.stop(error)
            self._missed.other += [f"the rest: {one.message}" for one in caught]
        elif sys.gettrace() == self._on_call:
            sys.settrace(self._previous)

    def insist(self, act: Callable[[], None]) -> None:
        """Call this, which raises, at every optimizer's step from now on."""
        self._insist = act

    def _on_call(self, frame: FrameType, event: Any, arg: Any) -> Any:
        code = frame.f_code
        if code is _BUILD:
            self._found.add_optimizer(frame.f_locals["self"])
        elif recogniser_of(code) is not None:
            self._look(frame)
            if self._follower is not None:  # it passes the call on to the tracer before us
                return self._follower.on_global_event(frame, event, arg)
        if self._previous is None:
            return None
        local = self._previous(frame, event, arg)
        if self.problem is None and sys.gettrace() != self._on_call:
            sys.settrace(self._on_call)  # coverage's C tracer puts itself first
        return local

    def _look(self, frame: FrameType) -> None:
        """Take over, if a call of torch is the training's first."""
        try:
            if self._begins(frame) and self._tried != self._found.changes:
                self._tried = self._found.changes
                self._take_over(frame)
        except Exception as error:  # the script runs on, as it would alone
            self.problem = f"{type(error).__name__}: {error}"
            self.routine = self._follower = None
            sys.settrace(self._previous)

    def _begins(self, frame: FrameType) -> bool:
        """Whether a call of torch is the training's first."""
        code, found = frame.f_code, self._found
        if torch._C._get_tracing_state() is not None:  # jit.trace would record what is measured
            return False
        if code is _BACKWARD:
            return True
        owner = frame.f_locals.get("self")
        if code is _CALL:
            if not torch.is_grad_enabled() or not isinstance(owner, nn.Module):
                return False
            found.add_network(owner)
            return bool(found.optimizers) and found.belongs(owner)
        if isinstance(owner, Optimizer):
            return owner in found.optimizers
        return _attributes(owner).get("optimizer") in found.optimizers and bool(
            frame.f_back is not None and frame.f_back.f_code.co_name != "_initial_step"
        )

    def _take_over(self, frame: FrameType) -> None:
        frames: list[FrameType] = []
        outer: FrameType | None = frame
        while outer is not None and outer is not self._top:
            if is_own(outer.f_code, self._place) and not _in_forward(outer):
                frames.insert(0, outer)
            outer = outer.f_back
        named = self._found.named(frames) if frames else {}
        if not any(isinstance(one, nn.Module) for one in named.values()):
            return
        watched = Watched((named,), {})
        self._watched = {id(optimizer) for optimizer in watched.optimizers.values()}
        self.routine = Trace(watched.title)
        running = {id(frame.f_code): frame.f_code for frame in frames}
        options = Options(
            lambda code: id(code) in running
            or (is_own(code, self._place) and not _is_special(code)),
            steps=self._steps, admits=_is_direct, ended=self._end,
        )  # fmt: skip
        sys.settrace(self._previous)
        self._follower = Follower(watched, self.routine._records, options)
        self._follower.start()
        self._follower.follow(frames, begun=True)
        self._follower.install()
        self._follower.record_line_under_way()

    def _end(self) -> None:
        """As much has been watched as was asked for."""
        if self._follower is not None:
            self._follower.stop(None)
            self._follower = None  # and the copies it has kept
        self._done()

    def _is_endless(self, optimizer: Optimizer) -> bool:
        """Whether an optimizer has stepped so often that the lines of a loop do not come round."""
        watched = id(optimizer) in self._watched or not self._watched
        return self._counted[id(optimizer)] > (4 if watched else 100) * self._steps

    def _on_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        """Any optimizer is about to step, in any thread."""
        if os.getpid() != self._pid:
            return
        frame = sys._getframe(1)
        if threading.get_ident() != self._thread:
            self._missed.note(optimizer, "only the main thread is watched", frame)
        elif self._insist is not None:
            self._insist()
        elif self._follower is not None:
            self._counted[id(optimizer)] += 1
            if self._is_endless(optimizer):
                if id(optimizer) in self._watched:
                    self._missed.note_library(frame)
                self._end()
        elif self.routine is not None:
            self._missed.note(optimizer, "only the first loop's first steps are watched", frame)
        elif self.problem is None and sys.gettrace() != self._on_call:
            why = "something else (a debugger, or sys.settrace) had taken Python's tracing over"
            self._missed.note(optimizer, why, frame)
        else:
            self._missed.note(optimizer, "it moves parameters of no network", frame)


def _in_forward(frame: FrameType) -> bool:
    """Whether a frame runs inside a network's forward."""
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is _CALL:
            return True
        outer = outer.f_back
    return False


def _forget_in_a_fork() -> None:
    """A forked process is not watched."""
    scout = getattr(sys.gettrace(), "__self__", None)
    if isinstance(scout, Scout):
        sys.settrace(scout._previous)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_a_fork)
