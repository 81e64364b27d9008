"""Probes: one tensor in, one `Reading` out, and the same for every parameter of a network.

From simple to complex: `Reading`, `read` (one tensor), `read_all` (many, fast), `combine` (several
readings as one), `gradient_sums` and `parameter_sums` (a whole network).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

By: TypeAlias = Literal["parameter", "layer"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a probe saw in one tensor.

    A plain sum is blind where positive and negative entries cancel: the gradient of a
    cross-entropy loss with respect to the logits sums to 0 for every sample. The L2 norm is 0
    only when every entry is, so a reading always carries both.

    Attributes:
        sum: Sum of all entries; complex for a complex tensor.
        norm: L2 norm of all entries, never negative.
        nonfinite: How many entries are NaN or infinite.

    Example:
        >>> from companion import trace
        >>> net = nn.Linear(2, 1)
        >>> with trace(net) as routine:
        ...     net(torch.tensor([[3.0, 4.0]])).sum().backward()
        >>> routine.records[0].after.gradients["weight"]
        Reading(sum=7.0, norm=5.0, nonfinite=0)
    """

    sum: float | complex
    norm: float
    nonfinite: int


def read(tensor: Tensor | None) -> Reading | None:
    """Read one tensor: dense, sparse or quantised, of any shape, dtype and device.

    Sum and norm are accumulated in float64 (complex128 for complex tensors), so that a
    half-precision tensor neither overflows nor loses its small entries. An MPS device has no
    float64; there the accumulator is float32.

    Args:
        tensor: The tensor, or None where there is none (a `.grad` before the first backward).

    Returns:
        The reading. None for None, and for a tensor without values (on the meta device, the
        parameter of a lazy module, one whose memory was freed): None, "all zero" and "no entries"
        are three things. None, too, where a tensor subclass has values in its own way
        (`__torch_dispatch__`), and for tensors inside a transform of `torch.func`.

    Raises:
        TypeError: If `tensor` is neither a tensor nor None.

    Example:
        >>> read(torch.tensor([3.0, -4.0]))
        Reading(sum=-1.0, norm=5.0, nonfinite=0)
        >>> read(torch.tensor([60000.0, 60000.0], dtype=torch.float16)).sum  # float16 ends at 65504
        120000.0
        >>> read(None) is None
        True
    """
    if tensor is None:
        return None
    if not isinstance(tensor, Tensor):
        raise TypeError(f"read() takes a tensor or None, not {tensor!r}")
    if not has_values(tensor):
        return None
    values = entries(tensor)[-1]
    dtype = _accumulator(values)
    if not _adds_up(values.dtype):
        values = values.to(dtype)
    total = values.sum(dtype=dtype).item()
    norm = torch.linalg.vector_norm(values, dtype=dtype).item()
    # A finite norm proves that every entry is finite, and saves a pass over them.
    nonfinite = 0 if math.isfinite(norm) else int((~values.isfinite()).sum().item())
    return Reading(total, norm, nonfinite)


def read_all(tensors: Sequence[Tensor]) -> list[Reading | None]:
    """Read many tensors, as fast as their memory comes: what a trace does after a line.

    float32 and float64 are accumulated in their own precision, half precision in float32; where
    that could overflow, underflow or meet a NaN, and for every other kind of tensor, `read` does
    it. From a device other than the CPU all numbers come in one transfer.

    Returns:
        One reading a tensor, as `read` gives them up to rounding.

    Example:
        >>> read_all([torch.tensor([3.0, -4.0]), torch.tensor([[0.5]], dtype=torch.float16)])
        [Reading(sum=-1.0, norm=5.0, nonfinite=0), Reading(sum=0.5, norm=0.5, nonfinite=0)]
    """
    with torch._C._DisableAutocast():  # it would compute a dot product in half precision
        results = [_start(tensor) for tensor in tensors]
        numbers = _fetch([number for pair in results if pair is not None for number in pair])
        fetched = iter(numbers)
        readings: list[Reading | None] = []
        for tensor, pair in zip(tensors, results, strict=True):
            if pair is not None:
                total, square = next(fetched), next(fetched)
                if _SMALLEST < square < _LARGEST:
                    readings.append(Reading(total, math.sqrt(square), 0))
                    continue
            readings.append(read(tensor))
    return readings


# Squares of float32 norms between these have lost nothing to underflow, and nothing overflowed.
_SMALLEST, _LARGEST = 1e-26, 1e36
_FAST = {
    torch.float32: None,
    torch.float64: None,
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
}


def _start(tensor: Tensor) -> tuple[Tensor, Tensor] | None:
    """Sum and squared norm, not yet fetched; None for a tensor that is not of the plain kind."""
    if tensor.dtype not in _FAST or tensor.layout != torch.strided or not has_values(tensor):
        return None
    if tensor.is_nested or tensor.is_mkldnn or not 0 < tensor.numel() < 2**31:
        return None
    values = tensor.detach().reshape(-1)
    wider = _FAST[tensor.dtype]
    if wider is not None:
        values = values.to(wider)
    return values.sum(), torch.dot(values, values)


def _fetch(numbers: Sequence[Tensor]) -> list[float]:
    """Their values, with one transfer from each device."""
    if all(number.device.type == "cpu" for number in numbers):
        return [number.item() for number in numbers]
    values = [0.0] * len(numbers)
    for kind in {(number.device, number.dtype) for number in numbers}:
        places = [i for i, n in enumerate(numbers) if (n.device, n.dtype) == kind]
        for i, value in zip(
            places, torch.stack([numbers[i] for i in places]).tolist(), strict=True
        ):
            values[i] = value
    return values


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
    return all(map(_is_in_memory, _parts(tensor)))


_TORCHS = (Tensor, nn.Parameter)  # as nearly all are


def is_lazy(tensor: Tensor) -> bool:
    """Whether a tensor belongs to a lazy module, and has no shape yet."""
    return issubclass(type(tensor), (UninitializedParameter, UninitializedBuffer))


def is_plain(tensor: Tensor) -> bool:
    """Whether torch alone knows how to read a tensor: neither a type's code, nor a transform."""
    return type(tensor).__torch_dispatch__ is Tensor.__torch_dispatch__ and not _is_wrapped(tensor)


_is_wrapped = torch._C._functorch.is_functorch_wrapped_tensor


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
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
    return _parts(tensor) or (tensor,)


def _adds_up(dtype: torch.dtype) -> bool:
    """Whether torch sums this dtype into a wider one by itself: not so for integers and float8."""
    return (dtype.is_floating_point or dtype.is_complex) and dtype.itemsize > 1


def _accumulator(values: Tensor) -> torch.dtype:
    if values.is_complex():
        return torch.complex128
    return torch.float32 if values.device.type == "mps" else torch.float64


def combine(readings: Iterable[Reading | None]) -> Reading | None:
    """One reading for several tensors, as if their entries stood in one.

    Args:
        readings: One reading a tensor; None where a tensor is absent, which adds nothing.

    Returns:
        The combined reading, or None if every one is None.

    Example:
        >>> combine([Reading(1.0, 3.0, 0), None, Reading(2.0, 4.0, 1)])
        Reading(sum=3.0, norm=5.0, nonfinite=1)
    """
    present = [r for r in readings if r is not None]
    if not present:
        return None
    return Reading(
        sum=sum(r.sum for r in present),
        norm=math.hypot(*(r.norm for r in present)),
        nonfinite=sum(r.nonfinite for r in present),
    )


def layer_of(parameter: str) -> str:
    """The layer that owns a parameter: its name without the last part.

    The network's own parameters belong to the layer "", the name `nn.Module.named_modules`
    gives the network itself.

    Example:
        >>> layer_of("encoder.0.weight"), layer_of("scale")
        ('encoder.0', '')
    """
    return parameter.rpartition(".")[0]


def by_layer(readings: Mapping[str, Reading | None]) -> dict[str, Reading | None]:
    """Combine readings by parameter into readings by layer, in the order of first appearance.

    Example:
        >>> by_layer({"fc.weight": Reading(1.0, 3.0, 0), "fc.bias": Reading(2.0, 4.0, 0)})
        {'fc': Reading(sum=3.0, norm=5.0, nonfinite=0)}
    """
    layers: dict[str, list[Reading | None]] = {}
    for name, reading in readings.items():
        layers.setdefault(layer_of(name), []).append(reading)
    return {layer: combine(group) for layer, group in layers.items()}


def gradient_sums(net: nn.Module, *, by: By = "parameter") -> dict[str, float | complex | None]:
    """The sum of every gradient that the network's parameters hold right now.

    Args:
        net: The network. A parameter used in two places (tied weights) is counted once, under
            the first of its names, as `nn.Module.named_parameters` counts it.
        by: "parameter", one sum for each parameter; or "layer", one for each module that owns
            parameters, the sum of theirs.

    Returns:
        Sums by name. None where there is no gradient, because it was never computed, is cleared,
        or its parameter is frozen. A layer is None when none of its parameters has one.

    Raises:
        TypeError: If `net` is not an `nn.Module`.
        ValueError: If `by` is neither "parameter" nor "layer".

    Example:
        >>> net = nn.Linear(2, 1)
        >>> gradient_sums(net)
        {'weight': None, 'bias': None}
        >>> net(torch.tensor([[3.0, 4.0]])).sum().backward()
        >>> gradient_sums(net)
        {'weight': 7.0, 'bias': 1.0}
        >>> gradient_sums(nn.Sequential(net), by="layer")
        {'0': 8.0}
    """
    return _sums(by, ((name, p.grad) for name, p in _named_parameters(net, "gradient_sums")))


def parameter_sums(net: nn.Module, *, by: By = "parameter") -> dict[str, float | complex | None]:
    """The sum of every parameter of the network.

    Args:
        net: The network; tied weights are counted once, under the first of their names.
        by: "parameter" or "layer", as in `gradient_sums`.

    Returns:
        Sums by name. None only for a parameter of a lazy module that has no values yet.

    Raises:
        TypeError: If `net` is not an `nn.Module`.
        ValueError: If `by` is neither "parameter" nor "layer".

    Example:
        >>> net = nn.Linear(2, 1)
        >>> with torch.no_grad():
        ...     _ = net.weight.copy_(torch.tensor([[1.5, 2.0]])), net.bias.zero_()
        >>> parameter_sums(net)
        {'weight': 3.5, 'bias': 0.0}
    """
    return _sums(by, iter(_named_parameters(net, "parameter_sums")))


def _named_parameters(net: nn.Module, caller: str) -> Iterator[tuple[str, nn.Parameter]]:
    if not isinstance(net, nn.Module):
        raise TypeError(
            f"{caller}() takes a torch.nn.Module, not {type(net).__name__}: {net!r:.80}"
        )
    return net.named_parameters()


def _sums(
    by: By, tensors: Iterator[tuple[str, Tensor | None]]
) -> dict[str, float | complex | None]:
    if by not in ("parameter", "layer"):
        raise ValueError(f'by must be "parameter" or "layer", not {by!r}')
    readings = {name: read(tensor) for name, tensor in tensors}
    if by == "layer":
        readings = by_layer(readings)
    return {name: None if r is None else r.sum for name, r in readings.items()}
