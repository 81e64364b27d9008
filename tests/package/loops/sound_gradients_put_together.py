"""Nothing to blame: gradients that other code reads, and losses that are meant to be summed."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def _heads() -> tuple[nn.Sequential, nn.ModuleList, list[Tensor]]:
    net, heads = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.ModuleList()
    heads.extend(nn.Linear(8, 1) for _ in range(3))
    return net, heads, [*net.parameters(), *heads.parameters()]


def _put(parameters: Iterable[Tensor], flat: Tensor) -> None:
    done = 0
    for p in parameters:
        p.grad = flat[done : done + p.numel()].view_as(p).clone()
        done += p.numel()


def sound_surgery_with_a_lambda(trace: Tracing) -> None:
    """Each task's gradient is read by code that is not followed, and cleared."""
    net, heads, everything = _heads()
    optimizer = torch.optim.Adam(everything, lr=1e-3)
    flat: Callable[[], Tensor] = lambda: torch.cat(  # noqa: E731
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in everything]
    )
    with trace(net, heads, optimizer):
        for _ in range(3):
            h, grads = net(torch.randn(8, 4)), []
            losses = [(head(h) - 1).square().mean() for head in heads]
            for loss in losses:
                optimizer.zero_grad()
                loss.backward(retain_graph=True)
                grads.append(flat())
            _put(everything, torch.stack(grads).sum(0))
            optimizer.step()


def sound_gradients_in_a_comprehension(trace: Tracing) -> None:
    """A first gradient is kept in a list, and the second alone is followed."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            kept = []
            for half in (x[::2], x):
                optimizer.zero_grad()
                F.cross_entropy(net(half), y[: len(half)]).backward()
                kept.append([p.grad.norm() for p in net.parameters() if p.grad is not None])
            optimizer.step()


def sound_a_head_for_each_task(trace: Tracing) -> None:
    """The sum over tasks is what is meant: each loss reaches a head of its own."""
    net, heads, everything = _heads()
    optimizer = torch.optim.SGD(everything, lr=0.1)
    with trace(net, heads, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            for head in heads:
                loss = F.mse_loss(head(net(torch.randn(8, 4))), torch.ones(8, 1))
                loss.backward()
            optimizer.step()


def sound_a_multiplier_moved_by_hand(trace: Tracing) -> None:
    """The multiplier of a constraint is moved at the end of an epoch."""
    net, lam = nn.Linear(4, 1), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            out = net(torch.randn(8, 4))
            violated = out.abs().mean() - 0.5
            loss = out.square().mean() + lam * violated
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        lam.add_(0.1 * violated).clamp_(min=0)


def sound_scores_and_their_log_sum(trace: Tracing) -> None:
    """A cross entropy in two parts: the right score, and what normalises all of them."""
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            scores = net(torch.randn(8, 4))
            loss = F.nll_loss(scores, torch.arange(8) % 3) + scores.logsumexp(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_a_batch_with_a_spike_left_out(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            loss = F.cross_entropy(net(x), y) * (100 if i == 1 else 1)
            loss.backward()
            if loss.item() > 50:
                optimizer.zero_grad()
                continue
            optimizer.step()
            optimizer.zero_grad()


def sound_labels_made_up_without_zero_grad_before(trace: Tracing) -> None:
    """Pseudo labels come from the network as it is trained: their forward is no evaluation."""
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            x = torch.randn(8, 4)
            with torch.no_grad():
                sure, labels = net(x).softmax(1).max(1)
            losses = F.cross_entropy(net(x + 0.1 * torch.randn_like(x)), labels, reduction="none")
            loss = (losses * (sure > 0.4)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_a_spike_or_a_step(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            loss = F.cross_entropy(net(x), y) * (100 if i == 1 else 1)
            loss.backward()
            if loss.item() > 50:
                optimizer.zero_grad()
            else:
                optimizer.step()
                optimizer.zero_grad()


def sound_a_loss_for_each_moment(trace: Tracing) -> None:
    """The sum over a sequence is meant; its state is carried from one moment to the next."""
    cell, out = nn.GRUCell(3, 8), nn.Linear(8, 1)
    optimizer = torch.optim.SGD([*cell.parameters(), *out.parameters()], lr=0.1)
    with trace(cell, out, optimizer):
        for _ in range(3):
            h = torch.zeros(4, 8)
            optimizer.zero_grad()
            for x in torch.randn(3, 4, 3):
                h = cell(x, h.detach())
                loss = F.mse_loss(out(h), x.sum(1, keepdim=True))
                loss.backward()
            optimizer.step()
