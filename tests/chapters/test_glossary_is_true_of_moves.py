"""What the glossary says of lines that change more than they say is so: a run for each entry."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.chapters.glossary import loss_of, of, problem


@of("running mean, running variance")
def test_averages_that_a_forward_pass_moves() -> None:
    layer: Any = nn.BatchNorm1d(3).requires_grad_(False)
    assert torch.equal(layer.running_mean, torch.zeros(3))
    assert torch.equal(layer.running_var, torch.ones(3))
    x, y = torch.randn(8, 3), torch.randn(8, 3)
    with torch.no_grad():
        layer(x)
    torch.testing.assert_close(layer.running_mean, 0.1 * x.mean(dim=0))
    torch.testing.assert_close(layer.running_var, 0.9 + 0.1 * x.var(dim=0))
    layer.eval()
    by_hand = (y - layer.running_mean) / (layer.running_var + layer.eps).sqrt()
    torch.testing.assert_close(layer(y), by_hand)
    assert {name for name, _ in layer.named_buffers()} >= {"running_mean", "running_var"}
    plain: Any = nn.BatchNorm1d(3, momentum=None)
    plain(x)
    plain(y)
    torch.testing.assert_close(plain.running_mean, (x.mean(dim=0) + y.mean(dim=0)) / 2)


@of("LBFGS")
def test_an_optimizer_that_asks_at_several_points() -> None:
    net, inputs, labels = problem()
    optimizer = torch.optim.LBFGS(net.parameters())
    seen: list[tuple[float, float]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(net, inputs, labels)
        loss.backward()
        seen.append((loss.item(), net[0].weight.sum().item()))
        return loss

    assert optimizer.step(closure) == seen[0][0]
    assert len(seen) == 20
    assert len({point for _, point in seen}) > 10
    assert seen[-1][0] < 0.1 * seen[0][0]
