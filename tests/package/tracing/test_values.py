"""What a line binds is read: tensors and numbers, what their graphs reach, nothing stale."""

from __future__ import annotations

import contextlib
import gc
import math
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from companion import Trace, trace
from companion.records.value import Value
from companion.tracing.events import values


def bound(routine: Trace) -> dict[str, Value]:
    """The last value of each variable."""
    return {value.name: value for record in routine.records for value in record.values}


def fresh() -> tuple[Any, torch.optim.Optimizer, Tensor]:
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    return net, torch.optim.SGD(net.parameters(), lr=0.1), torch.randn(4, 2)


def test_all_lines_of_the_routine_say_what_they_do() -> None:
    net, optimizer, inputs = fresh()
    with trace(net, optimizer) as routine:
        optimizer.zero_grad()
        outputs = net(inputs)
        loss = outputs.square().mean()
        loss.backward()
        optimizer.step()
    seen = bound(routine)
    assert seen["outputs"] == Value("outputs", "float32", (4, 1), None, 0, True, ())
    assert seen["loss"] == Value("loss", "float32", (), loss.item(), 0, True, ())
    assert [len(record.values) for record in routine.records] == [0, 1, 1, 0, 0]


def test_kinds_of_values() -> None:
    net, _, inputs = fresh()
    with trace(net) as routine:
        number = inputs.sum().item()
        count = inputs.shape[0] + 0
        half = inputs.half() * torch.inf
        right = inputs.argmax(dim=1)
        one = inputs[:1, :1] + 0
        whole = right.sum()
        z = torch.complex(inputs, inputs)
        name = str(number)
        flag = number > 0
        nothing = inputs[:0]
        sparse = inputs.to_sparse()
        meta = torch.empty(3, device="meta") + 0
    seen = bound(routine)
    assert seen["number"] == Value("number", "float", number=number)
    assert seen["count"] == Value("count", "int", number=4.0)
    assert seen["half"].nonfinite == 8
    assert (seen["right"].dtype, seen["right"].shape, seen["right"].nonfinite) == ("int64", (4,), 0)
    assert seen["one"].number == one.item()
    assert seen["whole"].number == whole.item()
    assert (seen["z"].shape, seen["z"].number, seen["z"].nonfinite) == ((4, 2), None, None)
    assert seen["nothing"] == Value("nothing", "float32", (0, 2), None, 0)
    assert seen["sparse"].shape == (4, 2)
    assert (seen["meta"].shape, seen["meta"].nonfinite) == ((3,), None)
    assert not {"name", "flag"} & seen.keys()
    del count, half, z, flag, name, nothing, sparse, meta, right, one, whole


def test_not_finite_is_counted() -> None:
    net, _, inputs = fresh()
    inputs[0] = torch.nan
    inputs[1, 0] = torch.inf
    with trace(net) as routine:
        outputs = net(inputs)
        loss = outputs.mean()
    seen = bound(routine)
    assert seen["outputs"].nonfinite == int((~outputs.isfinite()).sum())
    assert seen["loss"].nonfinite == 1
    assert math.isnan(seen["loss"].number or 0)
    assert loss.isnan()


def test_what_a_graph_reaches() -> None:
    net, _, inputs = fresh()
    with trace(net) as routine:
        whole = net(inputs).sum()
        first = net[0](inputs).sum()
        cut = net[2](net[0](inputs).detach()).sum()
        data = inputs * 2
        with torch.no_grad():
            blind = net(inputs)
        alone = torch.ones(2, requires_grad=True).sum()
    seen = bound(routine)
    assert seen["whole"].unreached == ()
    assert seen["first"].unreached == ("2.weight", "2.bias")
    assert seen["cut"].unreached == ("0.weight", "0.bias")
    assert (seen["data"].graph, seen["data"].unreached) == (False, None)
    assert (seen["blind"].graph, seen["blind"].unreached) == (False, None)
    assert seen["alone"].graph
    assert seen["alone"].unreached is None  # its leaf is unknown: it may stand for others
    assert (whole.requires_grad, first.requires_grad, cut.requires_grad) == (True, True, True)
    assert (data.requires_grad, blind.requires_grad, alone.requires_grad) == (False, False, True)


def test_frozen_parameters_need_not_be_reached() -> None:
    net, _, inputs = fresh()
    net[0].requires_grad_(False)
    with trace(net) as routine:
        loss = net(inputs).sum()
        net[0].requires_grad_(True)
        again = net(inputs).sum()
        net[2].requires_grad_(False)
        once = net(inputs).sum()
    seen = bound(routine)
    assert [seen[name].unreached for name in ("loss", "again", "once")] == [(), (), ()]
    del loss, again, once


class Own(torch.autograd.Function):
    """One that knows a parameter by itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * 2

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad * 2


def test_where_it_cannot_be_told_it_is_not_told() -> None:
    net, _, inputs = fresh()
    inputs.requires_grad_()
    with trace(net) as routine:
        whole = Own.apply(net(inputs)).sum()
        part = Own.apply(net[0](inputs)).sum()
        checked = checkpoint(net, inputs, use_reentrant=True).sum()
        late = checkpoint(net, inputs, use_reentrant=False).sum()
    seen = bound(routine)
    assert seen["whole"].unreached == ()
    assert seen["part"].unreached is None
    assert seen["checked"].unreached is None  # its backward runs the forward again
    assert seen["late"].unreached == ()
    del whole, part, checked, late


def test_a_very_large_graph_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MOST_NODES", 20)
    net, _, inputs = fresh()
    with trace(net) as routine:
        long = sum((net(inputs).sum() for _ in range(10)), torch.zeros(()))
        short = net(inputs)
    assert bound(routine)["long"].unreached is None
    assert bound(routine)["short"].unreached == ()
    del long, short


def test_what_a_graph_saved_is_not_asked_for() -> None:
    net, _, inputs = fresh()
    asked: list[int] = []

    def unpack(kept: Tensor) -> Tensor:
        asked.append(1)
        return kept

    with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, unpack), trace(net) as routine:
        loss = net(inputs).square().mean()
    assert bound(routine)["loss"].unreached == ()
    assert not asked
    loss.backward()
    assert asked


def test_nothing_is_kept_alive() -> None:
    net, optimizer, inputs = fresh()
    freed = []
    with trace(net, optimizer) as routine:
        outputs = net(inputs)
        loss = outputs.sum()
        hidden = torch.tanh(outputs)  # whose node keeps what it gives
        seen = [weakref.ref(one) for one in (outputs, loss, hidden.untyped_storage())]
        del outputs, loss, hidden
        freed += [gc.collect(), *(one() is None for one in seen)]
    assert freed[1:] == [True, True, True]
    assert len(bound(routine)) >= 2


def test_a_line_that_raised_bound_nothing() -> None:
    net, optimizer, inputs = fresh()
    wrong = torch.ones(4, 5)
    with trace(net, optimizer) as routine:
        for x in (inputs, wrong, inputs):
            try:
                loss = net(x).sum()
            except RuntimeError:
                continue
            loss.backward()
    lines = [record for record in routine.records if record.source == "loss = net(x).sum()"]
    assert [len(record.values) for record in lines] == [1, 0, 1]


def test_only_what_a_statement_surely_binds() -> None:
    net, _, inputs = fresh()
    x = 0.0
    with trace(net) as routine:
        if len(inputs) > 100: x = 5.0  # fmt: skip  # noqa: E701
        a, (b, c) = inputs.unbind(1)[0], inputs.unbind(1)
        for i, row in enumerate(inputs):
            assert i < len(row) * 2
        kept: dict[str, Any] = {}
        kept["loss"] = net(inputs).sum()
        learning_rate = 0.1
        x += 1
    seen = bound(routine)
    assert seen.keys() == {"a", "b", "c", "row", "x"}
    assert seen["x"].number == 1.0
    del a, b, c, i, row, learning_rate


def test_a_loop_whose_end_binds_nothing() -> None:
    net, _, inputs = fresh()
    with trace(net) as routine:
        for x in inputs.split(2):
            outputs = net(x)
    headers = [record for record in routine.records if record.source.startswith("for")]
    assert [[one.shape for one in r.values] for r in headers] == [[(2, 2)], [(2, 2)], []]
    assert outputs.shape == (2, 1)


def test_attributes_of_self() -> None:
    net, optimizer, inputs = fresh()

    class Trainer:
        def __init__(self) -> None:
            self.loss = torch.zeros(())

        def step(self) -> None:
            self.loss = net(inputs).sum()
            self.loss.backward()

    trainer = Trainer()
    with trace(net, optimizer, into=[Trainer.step]) as routine:
        trainer.step()
    assert bound(routine)["self.loss"].number == trainer.loss.item()


def test_a_tensor_with_a_type_of_its_own_is_not_asked() -> None:
    class Loud(Tensor):
        @classmethod
        def __torch_dispatch__(cls, func: Any, types: Any, args: Any, kwargs: Any) -> Any:  # type: ignore[override]
            asked.append(str(func))
            return super().__torch_dispatch__(func, types, args, kwargs or {})

    asked: list[str] = []
    net, _, inputs = fresh()
    loud = torch.Tensor._make_subclass(Loud, inputs)
    with trace(net) as routine:
        same = loud
        count = len(asked)
    assert bound(routine)["same"] == Value("same", "float32")
    assert asked[count:] == []
    assert same is loud


def test_no_random_number_and_no_graph() -> None:
    net, _, inputs = fresh()
    before = torch.random.get_rng_state()
    with trace(net) as routine:
        outputs = net(inputs)
        version = outputs._version
    assert torch.equal(torch.random.get_rng_state(), before)
    assert outputs._version == version == 0
    assert bound(routine)["outputs"].graph


def test_a_batch_that_has_the_place_in_memory_of_the_one_before() -> None:
    net, _, inputs = fresh()
    with trace(net) as routine:
        for x in (inputs + i for i in range(4)):
            x = torch.ones(1)
    headers = [record for record in routine.records if record.source.startswith("for")]
    assert [len(record.values) for record in headers] == [1, 1, 1, 1, 0]
    assert x.shape == (1,)


def test_however_an_exception_is_caught() -> None:
    net, _, inputs = fresh()
    wrong = torch.ones(4, 5)

    def inner(x: Tensor) -> Tensor:
        y: Tensor = net(x)
        return y

    with trace(net, into=[inner]) as routine:
        for x in (inputs, wrong, inputs):
            with contextlib.suppress(RuntimeError):
                a = net(x)
                a2 = a + 1
            with contextlib.suppress(RuntimeError):
                try:
                    b = net(x)
                finally:
                    c = x + 1
                b2 = b + 1
            try:
                d = inner(x)
            except RuntimeError:
                d = x * 2
                e = x * 3
    counts: dict[str, list[int]] = {}
    for record in routine.records:
        if not record.source.startswith(("with", "try", "finally", "for", "except", "return")):
            counts.setdefault(record.source, []).append(len(record.values))
    assert counts == {
        "a = net(x)": [1, 0, 1],
        "a2 = a + 1": [1, 1],
        "b = net(x)": [1, 0, 1],
        "c = x + 1": [1, 0, 1],  # after it the exception goes on: in doubt nothing is told
        "b2 = b + 1": [1, 1],
        "d = inner(x)": [0, 1, 0, 0, 1],  # before the lines of the function, and after them
        "y: Tensor = net(x)": [1, 0, 1],
        "d = x * 2": [1],
        "e = x * 3": [1],
    }
    del a, a2, b, b2, c, d, e


def test_a_yield_is_told_each_time_and_a_line_that_waits_for_it_counts_once() -> None:
    net, optimizer, inputs = fresh()

    def batches() -> Iterator[Tensor]:
        for part in inputs.split(2):
            yield part + 0

    with trace(net, optimizer, into=[batches]) as routine:
        for x in batches():
            loss = net(x).sum()
    lines = [record.source for record in routine.records if not record.again]
    assert lines == [
        "for x in batches():",
        "for part in inputs.split(2):",
        "yield part + 0",
        "loss = net(x).sum()",
        "for x in batches():",
        "for part in inputs.split(2):",
        "yield part + 0",
        "loss = net(x).sum()",
        "for x in batches():",
        "for part in inputs.split(2):",
    ]
    again = [record for record in routine.records if record.again]
    assert [[value.shape for value in record.values] for record in again] == [[(2, 2)], [(2, 2)]]
    del loss
