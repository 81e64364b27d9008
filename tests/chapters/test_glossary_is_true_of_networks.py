"""What the glossary says of networks, numbers and machines is so: a run for each entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader

import companion
from companion import Net, trace
from tests.chapters.glossary import equal, grads, loss_of, of, problem, values
from tests.package.ranks import in_both


@of("batch normalization", "buffer", "state dict")
def test_what_is_saved() -> None:
    net: Any = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    mean = net[1].running_mean.clone()
    assert "1.running_mean" in dict(net.named_buffers())
    assert "1.running_mean" not in dict(net.named_parameters())
    net.eval()
    net(torch.randn(8, 2))
    assert torch.equal(net[1].running_mean, mean)
    net.train()
    net(torch.randn(8, 2)).square().sum().backward()
    assert not torch.equal(net[1].running_mean, mean)
    names = {*dict(net.named_parameters()), *dict(net.named_buffers())}
    assert set(net.state_dict()) == names

    one: Any = nn.Module()
    one.register_buffer("kept", torch.ones(1))
    one.register_buffer("left_out", torch.ones(1), persistent=False)
    assert [name for name, _ in one.named_buffers()] == ["kept", "left_out"]
    assert list(one.state_dict()) == ["kept"]

    norm = nn.BatchNorm1d(2)
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias):
            tensor.uniform_()
    inputs = torch.randn(8, 2) * 3 + 1
    for mode in (True, False):
        norm.train(mode)
        outputs = norm(inputs)
        mean = inputs.mean(dim=0) if mode else norm.running_mean
        variance = inputs.var(dim=0, correction=0) if mode else norm.running_var
        assert isinstance(mean, Tensor)
        assert isinstance(variance, Tensor)
        normed = (inputs - mean) / (variance + norm.eps).sqrt()
        torch.testing.assert_close(outputs, normed * norm.weight + norm.bias)

    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["momentum"] == 0.9
    assert [list(state) for state in saved["state"].values()] == [["momentum_buffer"]] * 4
    assert torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9).state_dict()["state"] == {}


@of("detach")
def test_detach() -> None:
    tensor = nn.Parameter(torch.ones(2)) * 3
    cut = tensor.detach()
    assert cut.grad_fn is None
    assert torch.equal(cut, tensor)
    cut[0] = 7
    assert tensor[0].item() == 7


@of("epoch")
def test_epoch() -> None:
    sizes = [len(images) for images, _ in DataLoader(companion.digits(), batch_size=16)]
    assert len(sizes) == 90
    assert sum(sizes) == 1437
    assert sizes[-1] < 16


@of("eval mode and train mode")
def test_modes() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Dropout(), nn.BatchNorm1d(4))
    inputs = torch.randn(8, 4)
    before = [layer(inputs) for layer in net]
    net.eval()
    assert not any(module.training for module in net.modules())
    same = [torch.equal(layer(inputs), was) for layer, was in zip(net, before, strict=True)]
    assert same == [True, True, False, False]
    assert net(inputs).requires_grad


@of("dropout", "ReLU")
def test_dropout_and_relu() -> None:
    torch.manual_seed(0)
    ones = torch.ones(10_000)
    for layer, p in ((nn.Dropout(), 0.5), (nn.Dropout(0.2), 0.2)):
        dropped = layer(ones)
        assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - p)])
        assert (dropped == 0).float().mean().item() == pytest.approx(p, abs=0.02)
        assert torch.equal(layer.eval()(ones), ones)
    assert not torch.equal(nn.functional.dropout(ones), ones)
    assert torch.equal(nn.functional.dropout(ones, training=False), ones)

    assert nn.ReLU()(torch.tensor([-2.0, 0.0, 3.0])).tolist() == [0, 0, 3]
    first = nn.Linear(2, 2)
    with torch.no_grad():
        first.bias.copy_(torch.tensor([-100.0, 100.0]))
    nn.Linear(2, 1)(first(torch.randn(8, 2)).relu()).sum().backward()
    assert first.weight.grad is not None
    assert first.weight.grad.abs().sum(dim=1).gt(0).tolist() == [False, True]


@of("in place", "version counter")
def test_in_place() -> None:
    weight = torch.ones(2)
    assert weight.add(1) is not weight
    assert weight.add_(1) is weight
    assert weight.tolist() == [2, 2]
    net, inputs, labels = problem()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    assert optimizer.param_groups[0]["params"][0] is net[0].weight
    loss_of(net, inputs, labels).backward()
    start, held = values(net), [*net.parameters()]
    optimizer.step()
    assert all(p is one for p, one in zip(net.parameters(), held, strict=True))
    assert not equal(values(net), start)

    count = net[0].bias._version
    with torch.no_grad():
        net[0].bias.add_(1)
    assert net[0].bias._version == count + 1
    net[0].bias.data.add_(1)
    net[0].bias.detach().numpy()[0] = 5
    torch.optim.SGD(net.parameters(), lr=0.1, fused=True).step()
    assert net[0].bias._version == count + 1
    norm = nn.BatchNorm1d(4)
    assert norm.running_mean is not None
    count = norm.running_mean._version
    norm(inputs)
    assert norm.running_mean.any()
    assert norm.running_mean._version == count

    loss = loss_of(net, inputs, labels)
    with torch.no_grad():
        net[2].weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@of("layer", "module", "network", "parameter")
def test_modules() -> None:
    layers = dict(Net().named_children())
    assert [type(layer) for layer in layers.values()] == [nn.Conv2d] * 2 + [nn.Linear] * 3
    assert all(
        set(dict(layer.named_parameters())) == {"weight", "bias"} for layer in layers.values()
    )

    class Some(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen = nn.Linear(1, 1)
            self.listed = nn.ModuleList([nn.Linear(1, 1)])
            self.hidden = [nn.Linear(1, 1)]
            self.own = nn.Parameter(torch.ones(1))
            self.plain = torch.ones(1, requires_grad=True)

    names = {name.partition(".")[0] for name, _ in Some().named_parameters()}
    assert names == {"seen", "listed", "own"}
    parameter = Some().own
    assert parameter.is_leaf
    assert parameter.requires_grad
    assert not nn.Parameter(torch.ones(1), requires_grad=False).requires_grad
    assert isinstance(Some().seen, nn.Module)
    assert list(nn.ReLU().parameters()) == []
    some = Some().eval().to(torch.float64)
    assert not some.listed[0].training
    assert some.seen.weight.dtype == some.own.dtype == torch.float64


@of("line-level trace", "probe", "sum")
def test_trace_and_probes() -> None:
    net, inputs, labels = problem()
    start = values(net)
    none = companion.gradient_sums(net)
    assert set(none.values()) == {None}
    assert len(none) == 4
    assert set(companion.gradient_sums(net, by="layer")) == {"0", "2"}
    companion.parameter_sums(net)
    assert equal(values(net), start)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer) as routine:
        loss_of(net, inputs, labels).backward()
        optimizer.step()
    backward, step = routine.records
    assert len(backward.changed_gradients) == len(step.changed_parameters) == 4
    for name in ("2.weight", "2.bias"):
        reading, before, after = (
            backward.after.gradients[name],
            step.before.parameters[name],
            step.after.parameters[name],
        )
        assert reading is not None
        assert before is not None
        assert after is not None
        assert abs(reading.sum) < 1e-6 < reading.norm
        assert abs(after.sum - before.sum) < 1e-6 < abs(after.norm - before.norm)

    for size, seen in ((32, ("weight",)), (33, ())):
        layer = nn.Linear(size, size)
        weight = layer.weight
        with torch.no_grad():
            weight.copy_(torch.randint(-9, 9, weight.shape))  # whole numbers add up without error
        whole = weight.detach().clone()
        with torch.no_grad(), trace(layer) as routine:
            weight[[0, 1]] = weight[[1, 0]]
        assert not torch.equal(weight, whole)
        assert routine.records[0].changed_parameters == seen


@of("batch", "convolution", "hidden state")
def test_shapes() -> None:
    images = torch.randn(16, 3, 32, 32)
    convolution: Any = Net().conv1
    assert (convolution.in_channels, convolution.out_channels) == (3, 6)
    assert convolution.weight.shape == (6, 3, 5, 5)
    assert convolution(images).shape == (16, 6, 28, 28)
    window = images[0, :, 3:8, 4:9]
    by_hand = (convolution.weight[2] * window).sum() + convolution.bias[2]
    torch.testing.assert_close(convolution(images)[0, 2, 3, 4], by_hand)

    for kind in (nn.RNN, nn.LSTM, nn.GRU):
        outputs, state = kind(4, 3)(torch.randn(7, 2, 4))  # 7 pieces, 2 samples
        assert outputs.shape == (7, 2, 3)
        hidden = state[0] if kind is nn.LSTM else state
        assert hidden.shape == (1, 2, 3)
        outputs, _ = kind(4, 3, batch_first=True)(torch.randn(2, 7, 4))
        assert outputs.shape == (2, 7, 3)
    attention = nn.MultiheadAttention(4, 2)
    pieces = torch.randn(7, 2, 4)
    _, weights = attention(pieces, pieces, pieces)
    assert weights.shape == (2, 7, 7)

    rnn = nn.RNN(4, 3)
    _, hidden = rnn(pieces)
    assert hidden.grad_fn is not None
    rnn(pieces, hidden)[0].sum().backward()
    with pytest.raises(RuntimeError, match="second time"):
        rnn(pieces, hidden)[0].sum().backward()
    rnn(pieces, hidden.detach())[0].sum().backward()


@of("bfloat16, float16", "dtype", "tensor")
def test_kinds_of_numbers() -> None:
    tensor = torch.ones(16, 3, 32, 32)
    assert (tensor.shape, tensor.device.type) == ((16, 3, 32, 32), "cpu")
    assert tensor.dtype == torch.float32
    assert torch.tensor([3]).dtype == torch.int64
    brain, half, single = map(torch.finfo, (torch.bfloat16, torch.float16, torch.float32))
    assert brain.max == pytest.approx(single.max, rel=0.01) == pytest.approx(3.4e38, rel=0.01)
    assert (brain.bits, half.bits, single.bits) == (16, 16, 32)
    assert 1 + brain.eps == pytest.approx(1.0078, abs=1e-4)
    assert 1 + half.eps == pytest.approx(1.00098, abs=1e-5)
    assert half.max == 65504
    assert torch.tensor(1e-8, dtype=torch.float16) == 0

    layer = nn.Linear(2, 1).double()
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.ones(1, 2))
    layer(torch.ones(1, 2, dtype=torch.float64)).sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float64
    with pytest.raises(RuntimeError, match="floating point and complex"):
        torch.tensor([1], requires_grad=True)


@of("autocast")
def test_autocast() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 3))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = net(torch.randn(2, 1, 4, 4))
        assert net[0](torch.randn(2, 1, 4, 4)).dtype == torch.bfloat16
        loss = nn.functional.cross_entropy(outputs, torch.tensor([0, 1]))
    assert outputs.dtype == torch.bfloat16
    loss.backward()
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert {g.dtype for g in grads(net)} == {torch.float32}


@of("device")
def test_moving_a_network() -> None:
    net = nn.Linear(2, 2)
    kinds: list[Any] = [torch.optim.SGD, torch.optim.Adam, torch.optim.Adagrad]
    optimizers = [kind(net.parameters(), lr=0.1) for kind in kinds]
    inputs = torch.ones(1, 2)
    assert net.to(torch.float64) is net
    assert inputs.to(torch.float64) is not inputs
    assert inputs.dtype == torch.float32
    for optimizer in optimizers:
        assert optimizer.param_groups[0]["params"][0] is net.weight
    assert [len(optimizer.state) for optimizer in optimizers] == [0, 0, 2]
    assert optimizers[2].state[net.weight]["sum"].dtype == torch.float32  # left behind
    with pytest.raises(RuntimeError, match="device"):
        nn.Linear(2, 2)(torch.ones(1, 2, device="meta"))


@of("hook")
def test_hooks() -> None:
    layer = nn.Linear(2, 1)
    called: list[Any] = []
    bias = layer.bias

    def after(*_: object) -> None:
        called.append("forward")

    handles: list[Any] = [
        layer.register_forward_hook(after),
        bias.register_hook(lambda gradient: called.append((gradient.item(), str(bias.grad)))),
        bias.register_post_accumulate_grad_hook(lambda p: called.append(p.grad.item())),
    ]
    for _ in range(2):
        layer(torch.ones(1, 2)).sum().backward()
    assert called == ["forward", (1, "None"), 1, "forward", (1, "tensor([1.])"), 2]
    for handle in handles:
        handle.remove()
    layer(torch.ones(1, 2)).sum().backward()
    assert len(called) == 6


@of("GAN")
def test_the_generators_backward_adds_to_the_discriminator() -> None:
    torch.manual_seed(0)
    generator, discriminator = nn.Linear(2, 3), nn.Linear(3, 1)
    optimizer = torch.optim.SGD(generator.parameters(), lr=0.1)
    loss = nn.BCEWithLogitsLoss()(discriminator(generator(torch.randn(4, 2))), torch.ones(4, 1))
    loss.backward()
    start = values(discriminator)
    optimizer.step()
    assert len(grads(generator)) == len(grads(discriminator)) == 2
    assert equal(values(discriminator), start)


@of("overfitting", "validation")
def test_learning_by_heart() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 128), nn.ReLU(), nn.Dropout(0.0), nn.Linear(128, 3))
    samples = [(torch.randn(n, 8), torch.randint(3, (n,))) for n in (24, 200)]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    with trace(net, optimizer) as routine:
        for _ in range(60):
            net.train()
            optimizer.zero_grad()
            loss = loss_of(net, *samples[0])
            loss.backward()
            optimizer.step()
            net.eval()
            with torch.no_grad():
                losses.append((loss.item(), loss_of(net, *samples[1]).item()))
    assert losses[0][0] > losses[20][0] > losses[40][0] > losses[-1][0]
    assert losses[-1][1] > losses[20][1] > losses[0][1]
    assert routine.diagnose() == []

    def last(node: Any) -> Any:
        """The node of the last linear layer."""
        while "Addmm" not in node.name():
            node = node.next_functions[0][0]
        return node

    net.zero_grad()
    kept, loss = loss_of(net, *samples[1]), loss_of(net, *samples[1])
    loss.backward()
    assert last(kept.grad_fn)._saved_mat1.shape == (200, 128)
    with pytest.raises(RuntimeError, match="freed"):
        last(loss.grad_fn)._saved_mat1  # noqa: B018


@of("checkpoint")
def test_going_on_from_a_file(tmp_path: Path) -> None:
    def parts() -> tuple[Any, Any, Any]:
        net, _, _ = problem()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
        return net, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, step_size=4)

    def train(net: Any, optimizer: Any, scheduler: Any, steps: int) -> list[Tensor]:
        _, inputs, labels = problem()
        for _ in range(steps):
            optimizer.zero_grad()
            loss_of(net, inputs, labels).backward()
            optimizer.step()
            scheduler.step()
        return values(net)

    whole = train(*parts(), steps=6)
    first = parts()
    train(*first, steps=3)
    torch.save([part.state_dict() for part in first], tmp_path / "checkpoint.pt")
    saved = torch.load(tmp_path / "checkpoint.pt")
    for count, same in ((3, True), (1, False)):
        again = parts()
        for part, state in zip(again[:count], saved, strict=False):
            part.load_state_dict(state)
        assert equal(train(*again, steps=3), whole) == same

    runs: list[int] = []
    layer = nn.Linear(2, 2)
    layer.register_forward_pre_hook(lambda *_: runs.append(1))
    outputs = checkpoint(layer, torch.ones(1, 2), use_reentrant=False)
    assert len(runs) == 1
    outputs.sum().backward()
    assert len(runs) == 2


def together(rank: int, folder: str) -> None:
    """What each of two processes does."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
    )
    assert (distributed.get_rank(), distributed.get_world_size()) == (rank, 2)
    net, inputs, labels = problem()
    halves = [slice(0, 2), slice(2, 6)]
    alone = []
    for half in halves:
        net.zero_grad()
        loss_of(net, inputs[half], labels[half]).backward()
        alone.append(grads(net))
    net.zero_grad()
    wrapped = nn.parallel.DistributedDataParallel(net)
    assert wrapped.module is net
    assert all(name.startswith("module.") for name in wrapped.state_dict())
    optimizer = torch.optim.SGD(wrapped.parameters(), lr=0.1)
    loss_of(wrapped, inputs[halves[rank]], labels[halves[rank]]).backward()
    torch.testing.assert_close(grads(net), [(a + b) / 2 for a, b in zip(*alone, strict=True)])
    optimizer.step()
    torch.save(values(net), f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@of("rank", "DataParallel, DistributedDataParallel")
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="no gloo here")
def test_ranks(tmp_path: Path) -> None:
    in_both(together, tmp_path)
    assert equal(*(torch.load(tmp_path / f"{rank}.pt") for rank in range(2)))
    single = nn.DataParallel(nn.Linear(2, 1))
    assert isinstance(single.module, nn.Linear)
    assert list(single.state_dict()) == ["module.weight", "module.bias"]


@of("seed")
def test_a_seed_says_where_random_numbers_begin() -> None:
    def drawn(more: bool) -> list[Tensor]:
        torch.manual_seed(0)
        weight = nn.Linear(2, 2).weight
        if more:
            torch.rand(1)
        return [weight, torch.dropout(torch.ones(99), 0.5, True), torch.randperm(99)]

    assert equal(drawn(False), drawn(False))
    assert [torch.equal(*pair) for pair in zip(drawn(False), drawn(True), strict=True)] == [
        True,
        False,
        False,
    ]
