"""Methods of torch's that a line names and does not call."""

from __future__ import annotations

from collections.abc import Iterator
from types import BuiltinFunctionType, FrameType, FunctionType, MethodDescriptorType, MethodType

from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau
from torch.optim.optimizer import Optimizer

from companion.isolation.objects import attributes, is_a, own_of, types_of
from companion.records.bare import bare
from companion.records.line import Event
from companion.tracing.code.frames import value_of

# Those that are of use only when they are called; no line has a reason to name them alone.
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (Tensor, frozenset({"backward", "detach_", "requires_grad_", "retain_grad", "zero_"})),
    (Optimizer, frozenset({"step", "zero_grad"})),
    (LRScheduler, frozenset({"step"})),
    (ReduceLROnPlateau, frozenset({"step"})),
    (GradScaler, frozenset({"step", "update", "unscale_"})),
    (nn.Module, frozenset({"train", "eval", "zero_grad", "requires_grad_", "step", "backward"})),
)
_CALLABLE = (FunctionType, MethodType, MethodDescriptorType, BuiltinFunctionType)


def uncalled(text: str, frame: FrameType) -> Iterator[Event]:
    """An event for each method that the statement only names."""
    for name in bare(text):
        owner, _, method = name.rpartition(".")
        value = value_of(owner, frame)
        if owner.endswith(")"):  # `criterion(outputs, labels).backward`: a number that has one
            yield Event("not called", name, {"method": method, "of": "tensor"})
            continue
        known = any(is_a(value, kind) and method in names for kind, names in _METHODS)
        if known and _is_method(value, method):
            yield Event("not called", name, {"method": method, "of": type(value).__name__})


def _is_method(value: object, name: str) -> bool:
    """Whether that is a function of the object's, and no property, which runs when it is read."""
    held = attributes(value)
    if name in held:  # a scheduler puts its own `step` around the optimizer's
        return isinstance(held[name], _CALLABLE)
    found = next((own_of(k)[name] for k in types_of(type(value)) if name in own_of(k)), None)
    return type(found) in _CALLABLE
