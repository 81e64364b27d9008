"""Finding the training loop of a script that nobody edited, and watching its first steps.

From simple to complex: `is_own` (is this the user's code?), `_Found` (the networks and
optimizers of a running program), `Scout` (waits for the training to begin, then follows it).
"""

from __future__ import annotations

import gc
import inspect
import os
import site
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.optimizer import Optimizer

from companion.events import recogniser_of
from companion.follow import Follower, Options
from companion.trace import Trace
from companion.watched import Watchable, Watched, held

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


def is_own(code: CodeType, package: str | None = None) -> bool:
    """Whether code is the user's: in a file that is in no library, or in the package that runs.

    Not followed all the same: a network's `forward`, special methods, lambdas, comprehensions.
    """
    name = code.co_name
    if name == "forward" or name.startswith("__") or (name[0] == "<" and name != "<module>"):
        return False
    if code.co_filename.startswith("<"):
        return False
    path = os.path.realpath(code.co_filename)
    if package is not None and path.startswith(package + os.sep):
        return True
    return not path.startswith(_LIBRARIES)


def _is_direct(frame: FrameType, caller: FrameType) -> bool:
    """Whether a function was called for the loop: not by a network's forward, nor for its data."""
    between = frame.f_back
    while between is not None and between is not caller:
        module = between.f_globals.get("__name__", "")
        if between.f_code is _CALL or module.startswith("torch.utils.data"):
            return False
        between = between.f_back
    return between is caller


class _Found:
    """Networks, optimizers and scaler of a running program, by the user's names for them."""

    def __init__(self) -> None:
        self.optimizers: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self.forwarded: weakref.WeakSet[nn.Module] = weakref.WeakSet()

    def belongs(self, network: nn.Module) -> bool:
        """Whether some optimizer holds a parameter of the network."""
        ours = {id(p) for p in network.parameters()}
        return any(not ours.isdisjoint(held(optimizer)) for optimizer in self.optimizers)

    def named(self, frames: list[FrameType]) -> dict[str, Watchable]:
        """All that is to be watched; `frames` are the user's, outermost first."""
        modules = list(_alive(nn.Module))
        optimizers = list(_alive(Optimizer))
        networks = [m for m in modules if m in self.forwarded or _holds(optimizers, m)]
        outermost = _outermost(networks)
        ours = {id(p) for net in outermost for p in net.parameters()}
        fitting = [o for o in optimizers if not ours.isdisjoint(held(o))]
        scalers = [s for s in _alive(GradScaler) if s.is_enabled()][:1]
        names = _names(frames)
        named: dict[str, Watchable] = {}
        for one in [*outermost, *fitting, *scalers]:
            name = names.get(id(one), type(one).__name__)
            while name in named:
                name += "_"
            named[name] = one
        return named


def _alive(kind: type[Any]) -> Iterator[Any]:
    """Every living object of a kind. The type is asked, not the object: proxies may run code."""
    return (one for one in gc.get_objects() if issubclass(type(one), kind))


def _holds(optimizers: list[Optimizer], network: nn.Module) -> bool:
    ours = {id(p) for p in network.parameters()}
    return any(not ours.isdisjoint(held(optimizer)) for optimizer in optimizers)


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
        local = frame.f_locals
        for name, value in [*getattr(local.get("self"), "__dict__", {}).items(), *local.items()]:
            if not name.startswith("_") and name != "self":
                names[id(value)] = name
        module = local.get("self")
        for name, value in [*getattr(module, "_modules", {}).items()]:
            names.setdefault(id(value), name)
    return names


class Scout:
    """Python's trace function until the training begins; then a `Follower` takes over.

    Args:
        steps: How many steps to watch.
        done: Called when they are over.
        package: Folder of the package that runs, where that is an installed one.
    """

    def __init__(self, steps: int, done: Callable[[], None], package: str | None = None) -> None:
        self._found = _Found()
        self._done, self._steps, self._package = done, steps, package
        self._follower: Follower | None = None
        self.routine: Trace | None = None

    def start(self) -> None:
        """Begin to wait for the training."""
        self._previous: TraceFunction | None = sys.gettrace()
        sys.settrace(self._on_call)

    def stop(self, error: BaseException | None) -> None:
        """The script is over."""
        if self._follower is not None and self._follower.running:
            self._follower.stop(error)
        elif sys.gettrace() == self._on_call:
            sys.settrace(self._previous)

    def _on_call(self, frame: FrameType, event: Any, arg: Any) -> Any:
        local = None if self._previous is None else self._previous(frame, event, arg)
        code = frame.f_code
        if code is _BUILD:
            self._found.optimizers.add(frame.f_locals["self"])
        elif recogniser_of(code) is not None and self._begins(frame):
            self._take_over(frame)
        return local

    def _begins(self, frame: FrameType) -> bool:
        """Whether a call of torch is the training's first."""
        code, found = frame.f_code, self._found
        if code is _BACKWARD:
            return True
        owner = frame.f_locals.get("self")
        if code is _CALL:
            if not torch.is_grad_enabled() or not isinstance(owner, nn.Module):
                return False
            if any(p.requires_grad for p in owner.parameters()):
                found.forwarded.add(owner)
            return bool(found.optimizers) and found.belongs(owner)
        if isinstance(owner, Optimizer):
            return owner in found.optimizers
        return getattr(owner, "optimizer", None) in found.optimizers and bool(
            frame.f_back is not None and frame.f_back.f_code.co_name != "_initial_step"
        )

    def _take_over(self, frame: FrameType) -> None:
        frames: list[FrameType] = []
        outer: FrameType | None = frame
        while outer is not None:
            if is_own(outer.f_code, self._package) and not _in_forward(outer):
                frames.insert(0, outer)
            outer = outer.f_back
        named = self._found.named(frames) if frames else {}
        if not any(isinstance(one, nn.Module) for one in named.values()):
            return
        watched = Watched((named,), {})
        self.routine = Trace(", ".join(type(net).__name__ for net in watched.networks.values()))
        options = Options(
            lambda code: is_own(code, self._package), steps=self._steps, admits=_is_direct,
            ended=self._done,
        )  # fmt: skip
        sys.settrace(self._previous)
        self._follower = Follower(watched, self.routine._records, options)
        self._follower.start()
        self._follower.follow(frames, begun=True)
        self._follower.install()
        self._follower.record_line_under_way()
        self._follower.on_global_event(frame, "call", None)


def _in_forward(frame: FrameType) -> bool:
    """Whether a frame runs inside a network's forward."""
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is _CALL:
            return True
        outer = outer.f_back
    return False
