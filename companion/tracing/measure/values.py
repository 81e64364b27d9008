"""Which tensors have values that may be read, and where: in their memory, in their parts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor has values, in memory, that torch itself would read.

    Not on the meta device, nor in a lazy module, nor where the memory was freed (sharding and
    offloading do so); nor where a type of somebody's own would have to be asked for them, or a
    transform of `torch.func`.

    Example:
        >>> x = torch.ones(2)
        >>> _ = x.untyped_storage().resize_(0)
        >>> has_values(x), has_values(torch.ones(2, device="meta"))
        (False, False)
    """
    if type(tensor) not in _TORCHS and (is_lazy(tensor) or not is_plain(tensor)):
        return False
    if tensor.is_meta or _is_wrapped(tensor):
        return False
    if tensor.layout == torch.strided and not tensor.is_nested:
        return _is_in_memory(tensor)
    return all(map(_is_in_memory, parts(tensor)))


_TORCHS = (Tensor, nn.Parameter)  # as nearly all are


def is_lazy(tensor: Tensor) -> bool:
    """Whether a tensor belongs to a lazy module, and has no shape yet."""
    return issubclass(type(tensor), (UninitializedParameter, UninitializedBuffer))


def is_plain(tensor: Tensor) -> bool:
    """Whether torch alone knows how to read a tensor: neither a type's code, nor a transform."""
    return type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__ and not _is_wrapped(tensor)


_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor

# Where a context of this is entered, torch's operations record nothing for autograd. That is a
# saving, too: after a training step all code that they run must be fetched from memory anew.
kernels_alone = torch._C._AutoDispatchBelowADInplaceOrView


def parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The tensors that a tensor is made of; none where they are torch's own secret."""
    if tensor.layout == torch.strided:
        return () if tensor.is_nested else (tensor,)
    if tensor.layout == torch.sparse_coo:
        return tensor._indices(), tensor._values()
    if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
        return tensor.crow_indices(), tensor.col_indices(), tensor.values()
    if tensor.layout in (torch.sparse_csc, torch.sparse_bsc):
        return tensor.ccol_indices(), tensor.row_indices(), tensor.values()
    return ()


def gradient_of(p: Tensor) -> Tensor | None:
    """A parameter's gradient; torch warns of who asks for that of a tensor that keeps none."""
    return p.grad if p.is_leaf or p.retains_grad else None


def inside(tensor: Tensor) -> Tensor | None:
    """What holds a tensor's values: itself; of a DTensor this process's shard; else nothing."""
    if is_plain(tensor):
        return tensor
    if type(tensor).__module__ == "torch.distributed.tensor":
        shard: Tensor = tensor._local_tensor  # type: ignore[attr-defined]
        return shard if is_plain(shard) else None
    return None


def _is_in_memory(tensor: Tensor) -> bool:
    """Whether a strided tensor's memory reaches as far as its last entry."""
    there, size = tensor.untyped_storage().nbytes(), tensor.nbytes
    offset = tensor.storage_offset()
    if (there == size and not offset) or size == 0:
        return True  # as nearly all are
    if tensor.is_contiguous():  # such as a gradient in a bucket with others
        return bool(offset * tensor.itemsize + size <= there)
    last = sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return bool((offset + last + 1) * tensor.itemsize <= there)


def entries(tensor: Tensor) -> tuple[Tensor, ...]:
    """The dense tensors that hold `tensor`'s entries: where they stand, then their values.

    A strided tensor is its own values; a sparse one gives its indices first. Repeated indices
    of an uncoalesced sparse tensor are added up, as they are when it is used.
    """
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.is_mkldnn:
        tensor = tensor.to_dense()
    if tensor.layout == torch.sparse_coo:
        tensor = tensor.coalesce()
        return tensor.indices(), tensor.values()
    return parts(tensor) or (tensor,)
