"""Gradients are off in what the line of the loss calls; the optimizer holds the network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


def _parts() -> tuple[nn.Module, nn.Module, torch.optim.Optimizer]:
    net, head = nn.Sequential(nn.Linear(4, 8), nn.ReLU()), nn.Linear(8, 3)
    return net, head, torch.optim.Adam([*net.parameters(), *head.parameters()])


def broken(trace: Tracing) -> None:
    net, head, optimizer = _parts()

    def features(x: Tensor) -> Tensor:
        with torch.no_grad():
            return net(x)  # type: ignore[no-any-return]  # <- cut-between

    with trace(net, head, optimizer, into=[features]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(head(features(x)), y)
            loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net, head, optimizer = _parts()

    def features(x: Tensor) -> Tensor:
        return net(x)  # type: ignore[no-any-return]

    with trace(net, head, optimizer, into=[features]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(head(features(x)), y)
            loss.backward()
            optimizer.step()


def broken_loss(trace: Tracing) -> None:
    """In the function that computes the loss."""
    net, head, optimizer = _parts()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            code = net(x)  # <- cut-between
        return F.cross_entropy(head(code), y)

    with trace(net, head, optimizer, into=[loss_of]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()


def repaired_loss(trace: Tracing) -> None:
    net, head, optimizer = _parts()

    def loss_of(x: Tensor, y: Tensor) -> Tensor:
        code = net(x)
        return F.cross_entropy(head(code), y)

    with trace(net, head, optimizer, into=[loss_of]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = loss_of(x, y)
            loss.backward()
            optimizer.step()


def broken_decorated(trace: Tracing) -> None:
    """A helper that was written for the evaluation."""
    net, head, optimizer = _parts()

    @torch.no_grad()
    def encode(x: Tensor) -> Tensor:
        code: Tensor = net(x)  # <- cut-between
        return code

    with trace(net, head, optimizer, into=[encode]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(encode(x)), y).backward()
            optimizer.step()


def repaired_decorated(trace: Tracing) -> None:
    net, head, optimizer = _parts()

    def encode(x: Tensor) -> Tensor:
        code: Tensor = net(x)
        return code

    with trace(net, head, optimizer, into=[encode]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(head(encode(x)), y).backward()
            optimizer.step()
