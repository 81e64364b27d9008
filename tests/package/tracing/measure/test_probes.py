"""Probes: one tensor, one reading; one network, one sum for each parameter or layer."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from companion import Net, Reading, gradient_sums, parameter_sums
from companion.records.reading import by_layer, combine
from companion.tracing.measure.read import read

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.complex64]


@pytest.mark.parametrize("dtype", [*DTYPES, torch.int64, torch.bool], ids=str)
def test_reading_of_any_dtype(dtype: torch.dtype) -> None:
    assert read(torch.tensor([1, 0, 1]).to(dtype)) == Reading(2.0, math.sqrt(2), 0)


def test_reading_is_immutable_and_made_of_plain_numbers() -> None:
    reading = read(torch.tensor([1.0]))
    assert reading is not None
    assert (type(reading.sum), type(reading.norm), type(reading.nonfinite)) == (float, float, int)
    with pytest.raises(AttributeError):
        reading.sum = 0.0  # type: ignore[misc]


def test_none_zero_and_empty_are_three_things() -> None:
    assert read(None) is None
    assert read(torch.zeros(3)) == Reading(0.0, 0.0, 0)
    assert read(torch.empty(0, 5)) == Reading(0.0, 0.0, 0)
    assert read(torch.tensor(2.5)) == Reading(2.5, 2.5, 0)  # no dimensions, one entry


def test_half_precision_does_not_overflow() -> None:
    large = torch.full((1000,), 60000.0, dtype=torch.float16)
    assert large.sum().isinf()  # what torch's own sum does
    reading = read(large)
    assert reading is not None
    assert reading.sum == 60000.0 * 1000
    assert reading.norm == pytest.approx(60000.0 * math.sqrt(1000))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_does_not_lose_small_entries(dtype: torch.dtype) -> None:
    values = torch.full((4097,), 2.0**-10, dtype=dtype)
    values[0] = 2.0
    reading = read(values)
    assert reading is not None
    assert reading.sum == 2.0 + 4096 * 2.0**-10


def test_small_half_precision_norm_does_not_underflow() -> None:
    reading = read(torch.full((4,), 2.0**-20, dtype=torch.float16))
    assert reading == Reading(4 * 2.0**-20, 2.0**-19, 0)


def test_nonfinite_entries_are_counted() -> None:
    reading = read(torch.tensor([1.0, math.nan, math.inf, -math.inf]))
    assert reading is not None
    assert reading.nonfinite == 3
    assert reading.sum != reading.sum  # NaN
    assert math.isnan(reading.norm)


def test_complex() -> None:
    assert read(torch.tensor([3 + 4j, 0 - 4j])) == Reading(3 + 0j, math.sqrt(41), 0)


def test_sparse_repeated_indices_are_added_up() -> None:
    sparse = torch.sparse_coo_tensor(torch.tensor([[1, 1, 2]]), torch.tensor([3.0, 1.0, 3.0]), (5,))
    assert not sparse.is_coalesced()
    assert read(sparse) == Reading(7.0, 5.0, 0)


@pytest.mark.parametrize("layout", ["csr", "csc", "bsr", "bsc"])
def test_compressed_sparse(layout: str) -> None:
    dense = torch.tensor([[3.0, 0.0], [0.0, -4.0]])
    convert = getattr(dense, f"to_sparse_{layout}")
    assert read(convert((1, 1)) if layout.startswith("b") else convert()) == Reading(-1.0, 5.0, 0)


def test_reading_needs_no_graph_and_leaves_none() -> None:
    x = torch.ones(3, requires_grad=True)
    y = (x * 2).requires_grad_()
    assert read(y) == Reading(6.0, math.sqrt(12), 0)
    assert x.grad is None
    y.sum().backward()  # the graph is still whole


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
def test_float8(dtype: torch.dtype) -> None:
    assert read(torch.tensor([3.0, -4.0]).to(dtype)) == Reading(-1.0, 5.0, 0)


def test_tensors_without_values() -> None:
    assert read(torch.empty(3, device="meta")) is None


def test_read_refuses_what_is_no_tensor() -> None:
    with pytest.raises(TypeError, match=r"a tensor or None, not \[1.0\]"):
        read([1.0])  # type: ignore[arg-type]


@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=50), st.sampled_from(DTYPES))
def test_reading_equals_exact_arithmetic(values: list[float], dtype: torch.dtype) -> None:
    tensor = torch.tensor(values, dtype=torch.float64).to(dtype)
    exact = [complex(v).real for v in tensor.tolist()]
    reading = read(tensor)
    assert reading is not None
    if all(map(math.isfinite, exact)):
        assert reading.sum == pytest.approx(math.fsum(exact), rel=1e-12, abs=1e-6)
        assert reading.norm == pytest.approx(math.hypot(*exact), rel=1e-12)
    assert reading.nonfinite == sum(not math.isfinite(v) for v in exact)


@given(st.lists(st.lists(st.floats(-1e3, 1e3), max_size=8), min_size=1, max_size=5))
def test_combining_is_reading_all_entries_at_once(parts: list[list[float]]) -> None:
    tensors = [torch.tensor(part, dtype=torch.float64) for part in parts]
    combined, whole = combine(map(read, tensors)), read(torch.cat(tensors))
    assert combined is not None
    assert whole is not None
    assert combined.sum == pytest.approx(whole.sum, rel=1e-9, abs=1e-9)
    assert combined.norm == pytest.approx(whole.norm, rel=1e-9, abs=1e-9)
    assert combined.nonfinite == whole.nonfinite


def test_combining_absent_readings() -> None:
    one = Reading(1.0, 1.0, 0)
    assert combine([]) is None
    assert combine([None, None]) is None
    assert combine([None, one]) == one
    assert by_layer({"a.weight": None, "a.bias": one, "b.weight": None}) == {"a": one, "b": None}


# Networks.


def backward(net: nn.Module, *shape: int) -> None:
    net(torch.ones(*shape)).sum().backward()


def test_sums_of_the_tutorial_net() -> None:
    net = Net()
    assert set(gradient_sums(net).values()) == {None}
    backward(net, 2, 3, 32, 32)
    gradients, parameters = gradient_sums(net), parameter_sums(net)
    assert list(gradients) == list(parameters) == [name for name, _ in net.named_parameters()]
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert gradients[name] == parameter.grad.double().sum().item()
        assert parameters[name] == parameter.double().sum().item()


def test_sums_by_layer() -> None:
    net = Net()
    backward(net, 1, 3, 32, 32)
    sums, layers = gradient_sums(net), gradient_sums(net, by="layer")
    assert list(layers) == ["conv1", "conv2", "fc1", "fc2", "fc3"]
    for layer, total in layers.items():
        weight, bias = sums[f"{layer}.weight"], sums[f"{layer}.bias"]
        assert weight is not None
        assert bias is not None
        assert total == weight + bias


class Odd(nn.Module):
    """A parameter of its own, nested layers, a tied weight, a frozen and an unused layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.body = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2)))
        self.tied = nn.Linear(2, 2, bias=False)
        self.tied.weight = self.body[0].weight  # type: ignore[assignment]
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Any:
        return self.frozen(self.tied(self.body(x)) * self.scale)


def test_odd_networks() -> None:
    net = Odd()
    backward(net, 3, 2)
    sums, layers = gradient_sums(net), gradient_sums(net, by="layer")
    assert "tied.weight" not in sums  # counted once, under its first name
    assert list(layers) == ["", "body.0", "body.1.0", "frozen", "unused"]
    for name in "frozen.weight", "unused.bias":
        assert sums[name] is None
    for name in "scale", "body.0.weight", "body.1.0.bias":
        assert sums[name] is not None
    assert parameter_sums(net)["scale"] == 2.0


def test_a_zeroed_gradient_is_not_an_absent_one() -> None:
    net = nn.Linear(2, 1)
    backward(net, 1, 2)
    net.zero_grad(set_to_none=False)
    assert gradient_sums(net) == {"weight": 0.0, "bias": 0.0}
    net.zero_grad()
    assert gradient_sums(net) == {"weight": None, "bias": None}


def test_sparse_gradient_of_an_embedding() -> None:
    net = nn.Embedding(5, 2, sparse=True)
    net(torch.tensor([1, 1, 3])).sum().backward()
    assert gradient_sums(net) == {"weight": 6.0}


def test_complex_network() -> None:
    net = nn.Linear(2, 1, dtype=torch.complex64)
    assert isinstance(parameter_sums(net)["weight"], complex)


@pytest.mark.filterwarnings("ignore:Lazy modules")
def test_lazy_parameter_has_no_values_yet() -> None:
    net = nn.LazyLinear(1)
    assert parameter_sums(net) == {"weight": None, "bias": None}


@pytest.mark.parametrize("probe", [gradient_sums, parameter_sums])
def test_probes_refuse_what_is_no_network(probe: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a torch.nn.Module, not list: \[1, 2\]"):
        probe([1, 2])
    with pytest.raises(TypeError, match="not dict_values"):
        probe({}.values())
    with pytest.raises(ValueError, match='"parameter" or "layer", not \'module\''):
        probe(nn.Linear(1, 1), by="module")


def test_output_layer_sums_to_nothing_while_its_norm_does_not() -> None:
    """The surprise of chapter 3: softmax minus one-hot sums to 0 for every sample."""
    net = Net()
    nn.CrossEntropyLoss()(net(torch.randn(8, 3, 32, 32)), torch.arange(8)).backward()
    for parameter in net.fc3.parameters():
        reading = read(parameter.grad)
        assert reading is not None
        assert abs(reading.sum) < 1e-6 < 1e-2 < reading.norm
