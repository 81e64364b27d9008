"""An optimizer is built: the call, and what torch imports in the first one."""

from __future__ import annotations

import inspect
import sys
from contextlib import suppress
from importlib import import_module
from types import CodeType

from torch.optim.optimizer import Optimizer

BUILD = inspect.unwrap(Optimizer.__init__).__code__
# Optimizer.add_param_group stands in `torch._disable_dynamo`, which imports it when first called.
_NEXT = "torch._dynamo" if hasattr(Optimizer.add_param_group, "__wrapped__") else ""


def import_next(called: CodeType) -> None:
    """Where an optimizer is built, import what torch is about to.

    Called in a trace function, where nobody is told of the calls that this makes: with a trace
    function it would take half as long again.
    """
    if called is BUILD and _NEXT and _NEXT not in sys.modules:
        with suppress(Exception):  # torch will say it
            import_module(_NEXT)
