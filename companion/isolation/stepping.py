"""Hearing of every optimizer's step, by torch's global hooks, whichever thread steps.

torch goes through a dict of hooks at each step. One that begins or ends a trace meanwhile, in
another thread, would change that dict under its feet, and the step would raise: "OrderedDict
mutated during iteration". So all of ours share one entry. It is taken out when the last one has
gone, but not while another thread is in a step: then it stays until the next one goes, and does
nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import get_ident
from types import FrameType
from typing import Any, TypeAlias

import torch.optim.optimizer as torch_optimizer
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from companion.isolation.wall import keep_out_dynamo, leave_out_us

Listener: TypeAlias = Callable[[Optimizer, Any, Any], None]


class Steps:
    """Tells its listeners of each step."""

    def __init__(self, register: Callable[[Listener], Any]) -> None:
        self._register = register
        self._handle: Any = None
        self._listeners: tuple[Listener, ...] = ()

    def add(self, listener: Listener) -> None:
        """From here on it hears of each step; once, however often it is added."""
        if listener not in self._listeners:
            self._listeners = (*self._listeners, listener)
        if self._handle is None:
            self._handle = self._register(self._tell)

    def remove(self, listener: Listener) -> None:
        """It hears of none any more."""
        self._listeners = tuple(one for one in self._listeners if one != listener)
        if not self._listeners and self._handle is not None and not _steps_elsewhere():
            handle, self._handle = self._handle, None
            handle.remove()

    def _tell(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        try:
            for listener in self._listeners:
                listener(optimizer, args, kwargs)
        except BaseException as error:  # not one of our own: listeners keep those to themselves
            leave_out_us(error)
            raise


def _steps_elsewhere() -> bool:
    """Whether another thread is in an optimizer's step: it may be going through the hooks."""
    frames = sys._current_frames()
    del frames[get_ident()]  # this one's own: to keep it would keep all that is around it alive
    for innermost in frames.values():
        frame: FrameType | None = innermost
        while frame is not None:
            code = frame.f_code
            if code.co_name == "wrapper" and code.co_filename == torch_optimizer.__file__:
                return True
            frame = frame.f_back
    return False


BEFORE = Steps(register_optimizer_step_pre_hook)
AFTER = Steps(register_optimizer_step_post_hook)

keep_out_dynamo(Steps._tell)
