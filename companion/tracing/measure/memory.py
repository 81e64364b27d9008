"""Who else holds a tensor's memory: an alias, a view, another process."""

from __future__ import annotations

import sys

import torch
from torch import Tensor


def owns_its_memory(tensor: Tensor) -> bool:
    """False for a view into a larger storage, such as a gradient in a bucket of DDP."""
    if tensor.layout != torch.strided:
        return False
    storage = storage_of(tensor)
    return storage is not None and storage.nbytes() == tensor.nbytes


def storage_of(tensor: Tensor) -> torch.UntypedStorage | None:
    """A tensor's storage; None where it has none, as sparse ones. For tensors of torch's own."""
    return tensor.untyped_storage() if tensor.layout == torch.strided else None


def is_shared(tensor: Tensor) -> bool:
    """Whether something else holds the memory: an alias made by `.data`, another process."""
    if storage_of(tensor) is None:
        return True
    if any(now > alone for now, alone in zip(_holders(tensor), _ALONE, strict=True)):
        return True
    return tensor.device.type == "cpu" and bool(Tensor.is_shared(tensor))  # type: ignore[no-untyped-call]  # a GPU's memory always "is"


def _holders(tensor: Tensor) -> tuple[int, int]:
    """How many tensors hold the memory, and how many references its Python object has."""
    storage = tensor.untyped_storage()
    return int(torch._C._storage_Use_Count(storage._cdata)), sys.getrefcount(storage)


_ALONE = _holders(torch.empty(1))
