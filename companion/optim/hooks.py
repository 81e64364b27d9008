"""torch's step hooks and profiler mark, at no cost when nobody is there to read them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from torch._C._autograd import _profiler_enabled
from torch.optim import optimizer as torch_optimizer
from torch.optim.optimizer import Optimizer


def hooked_when_watched(step: Callable[..., Any]) -> Callable[..., Any]:
    """A `step` that calls hooks and marks itself for the profiler if there are any, or is one.

    torch wraps every optimizer's `step` with `Optimizer.profile_hook_step`, which opens a
    `record_function` on every call: a quarter of a step of SGD on a small network. Here the
    wrapped step runs if a hook is registered or a profiler is on, and the bare one otherwise.
    """
    hooked = Optimizer.profile_hook_step(step)

    @functools.wraps(step)
    def either(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        return (hooked if is_watched(self) else step)(self, *args, **kwargs)

    either.hooked = True  # type: ignore[attr-defined]  # torch need not wrap it again
    return either


def is_watched(optimizer: Optimizer) -> bool:
    """Whether a step hook, of this optimizer or of all, or a profiler would notice a step."""
    return bool(
        optimizer._optimizer_step_pre_hooks
        or optimizer._optimizer_step_post_hooks
        or torch_optimizer._global_optimizer_pre_hooks
        or torch_optimizer._global_optimizer_post_hooks
        or _profiler_enabled()
    )
