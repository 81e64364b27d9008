"""`read_all` reads many tensors as `read` reads each."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from companion.records.reading import Reading
from companion.tracing.measure.pack import SMALL, Pack, packs
from companion.tracing.measure.read import read
from companion.tracing.measure.read_all import read_all

SCALES = [1.0, 1e-3, 1e-19, 1e-22, 1e-30, 1e-44, 1e18, 1e20, 1e30, 1e38, 0.0, 1e-160, 1e200]
DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.complex64,
    torch.float8_e4m3fn, torch.int64,
]  # fmt: skip


def bounds(tensor: Tensor) -> tuple[float, float]:
    """How far sum and norm may be off, relative to the sum of the absolute values and the norm.

    A sum of n numbers in precision u is off by at most (n - 1) u sum |x| whatever the order;
    torch adds in blocks, so that far less is seen. The norm's squares add another 2 u, the root
    halves it; half precision is accumulated in float32 after an exact conversion.
    """
    u = 2.0**-53 if tensor.dtype in (torch.float64, torch.complex64, torch.int64) else 2.0**-24
    u = 2.0**-53 if tensor.dtype == torch.float8_e4m3fn else u
    n = max(tensor.numel(), 1)
    return n * u, (n / 2 + 2) * u


@settings(max_examples=150, deadline=None)
@given(
    shape=st.lists(st.integers(0, 40), max_size=3),
    dtype=st.sampled_from(DTYPES),
    scale=st.sampled_from(SCALES),
    seed=st.integers(0, 2**31),
    strided=st.booleans(),
    odd=st.sampled_from([None, None, None, math.nan, math.inf]),
)
def test_read_all_reads_as_read_does(
    shape: list[int],
    dtype: torch.dtype,
    scale: float,
    seed: int,
    strided: bool,
    odd: float | None,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
    if odd is not None and values.numel():
        values.view(-1)[0] = odd
    if strided and values.dim() > 1:
        values = values.transpose(0, -1)
    tensor = values.to(dtype) if dtype != torch.int64 else values.clamp(-9, 9).nan_to_num().long()
    (fast,), exact = read_all([tensor]), read(tensor)
    assert fast is not None
    assert exact is not None
    compare(tensor, fast, exact)
    if packs(tensor):
        (packed,) = Pack([tensor]).readings([tensor])
        assert packed is not None
        compare(tensor, packed, exact)


def compare(tensor: Tensor, fast: Reading, exact: Reading) -> None:
    assert fast.nonfinite == exact.nonfinite
    if exact.nonfinite or not math.isfinite(exact.norm):
        assert math.isnan(fast.norm) == math.isnan(exact.norm)
        return
    off_sum, off_norm = bounds(tensor)
    size = tensor.detach().abs().double().sum().item() if tensor.numel() else 0.0
    assert abs(fast.sum - exact.sum) <= off_sum * size + 1e-300
    assert abs(fast.norm - exact.norm) <= off_norm * exact.norm + 1e-300
    assert (fast.norm == 0) == (exact.norm == 0)


def test_read_all_of_many_at_once() -> None:
    tensors = [
        torch.full((n,), 2.0**e) for n in (1, 3, SMALL, SMALL + 1) for e in range(-140, 127, 9)
    ]
    for tensor, reading in zip(tensors, read_all(tensors), strict=True):
        n, value = tensor.numel(), tensor[0].item()
        assert reading is not None
        assert reading.sum == pytest.approx(n * value, rel=n * 2.0**-24)
        assert reading.norm == pytest.approx(math.sqrt(n) * value, rel=n * 2.0**-24)
    assert read_all([]) == []
    assert read_all([torch.empty(2, device="meta")]) == [None]


def test_read_all_needs_no_graph_and_leaves_none() -> None:
    p = nn.Parameter(torch.ones(2000))
    loss = p.square().sum()
    version = p._version
    read_all([p, loss])
    loss.backward()
    assert p._version == version


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.bfloat16])
def test_reading_a_pack_leaves_its_copy_and_the_tensors_as_they_are(dtype: torch.dtype) -> None:
    tensors = [torch.arange(2.0, 5.0).to(dtype), torch.tensor([[7.0]]).to(dtype)]
    pack = Pack(tensors)
    for _ in range(2):
        sums = [reading.sum for reading in pack.readings(tensors) if reading is not None]
        assert sums == [9.0, 7.0]
    assert pack.entries(0).tolist() == tensors[0].tolist() == [2, 3, 4]
    assert pack.entries(1).tolist() == [7]
    assert [tensor._version for tensor in tensors] == [0, 0]
