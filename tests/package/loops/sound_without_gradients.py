"""Nothing to blame: a network that is called where gradients are off, and what it gives is used."""

import contextlib
import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


def _body() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU())


def _train(
    trace: Tracing,
    nets: list[nn.Module],
    held: list[nn.Parameter],
    features: Callable[[Tensor, int], Tensor],
) -> None:
    net, head = nets[:2]
    optimizer = torch.optim.Adam(held)
    with trace(net, head, optimizer, into=[features]):
        for i, (x, y) in enumerate(classes()[:4]):
            optimizer.zero_grad()
            loss = F.cross_entropy(head(features(x, i)), y)
            loss.backward()
            optimizer.step()


def _both() -> tuple[nn.Module, nn.Module, list[nn.Parameter]]:
    net, head = _body(), nn.Linear(8, 3)
    return net, head, [*net.parameters(), *head.parameters()]


def sound_a_probe(trace: Tracing) -> None:
    """The optimizer holds the head alone."""
    net, head, _ = _both()

    def features(x: Tensor, i: int) -> Tensor:
        with torch.no_grad():
            return net(x)  # type: ignore[no-any-return]

    _train(trace, [net, head], [*head.parameters()], features)


def sound_a_frozen_body(trace: Tracing) -> None:
    net, head, held = _both()
    net.requires_grad_(False)

    def features(x: Tensor, i: int) -> Tensor:
        with torch.no_grad():
            return net(x)  # type: ignore[no-any-return]

    _train(trace, [net, head], held, features)


def sound_warm_up_by_an_if(trace: Tracing) -> None:
    net, head, held = _both()

    def features(x: Tensor, i: int) -> Tensor:
        if i < 100:
            with torch.no_grad():
                return net(x)  # type: ignore[no-any-return]
        return net(x)  # type: ignore[no-any-return]

    _train(trace, [net, head], held, features)


def sound_warm_up_by_a_flag(trace: Tracing) -> None:
    net, head, held = _both()

    def features(x: Tensor, i: int) -> Tensor:
        with torch.set_grad_enabled(i >= 100):
            return net(x)  # type: ignore[no-any-return]

    _train(trace, [net, head], held, features)


def sound_warm_up_by_a_context(trace: Tracing) -> None:
    net, head, held = _both()

    def features(x: Tensor, i: int) -> Tensor:
        with torch.no_grad() if i < 100 else contextlib.nullcontext():
            return net(x)  # type: ignore[no-any-return]

    _train(trace, [net, head], held, features)


def sound_now_and_then(trace: Tracing) -> None:
    """Every second batch trains the body, too."""
    net, head, held = _both()

    def features(x: Tensor, i: int) -> Tensor:
        code: Tensor = net(x)
        return code.detach() if i % 2 == 0 else code

    _train(trace, [net, head], held, features)


def sound_centred(trace: Tracing) -> None:
    """Its mean, without a graph, beside what has one."""
    net, head, held = _both()

    def features(x: Tensor, i: int) -> Tensor:
        with torch.no_grad():
            mean = net(x).mean(0)
        code: Tensor = net(x)
        centred: Tensor = code - mean
        return centred

    _train(trace, [net, head], held, features)


def sound_a_target_that_follows(trace: Tracing) -> None:
    """A copy, held by the same optimizer by an oversight that does nothing."""
    net, head, held = _both()
    target = copy.deepcopy(net)
    optimizer = torch.optim.Adam([*held, *target.parameters()])

    def aim(x: Tensor) -> Tensor:
        with torch.no_grad():
            return target(x)  # type: ignore[no-any-return]

    with trace(net, head, target, optimizer, into=[aim]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            code = net(x)
            loss = F.cross_entropy(head(code), y) + F.mse_loss(code, aim(x))
            loss.backward()
            optimizer.step()


def sound_labels_made_up(trace: Tracing) -> None:
    net, head, held = _both()
    optimizer = torch.optim.Adam(held)

    def labels(x: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = head(net(x)).argmax(1)
            return found

    with trace(net, head, optimizer, into=[labels]):
        for x, _ in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(head(net(x + 0.1)), labels(x))
            loss.backward()
            optimizer.step()


def sound_one_after_the_other(trace: Tracing) -> None:
    """Two optimizers, both stepped; the body rests."""
    net, head, _ = _both()
    optimizers = [torch.optim.Adam(one.parameters()) for one in (net, head)]

    def features(x: Tensor) -> Tensor:
        with torch.no_grad():
            return net(x)  # type: ignore[no-any-return]

    with trace(net, head, *optimizers, into=[features]):
        for x, y in classes()[:4]:
            loss = F.cross_entropy(head(features(x)), y)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()


def sound_only_looked_at(trace: Tracing) -> None:
    """An evaluation after each step."""
    net, head, held = _both()
    optimizer = torch.optim.Adam(held)

    def right(x: Tensor, y: Tensor) -> float:
        with torch.no_grad():
            return (head(net(x)).argmax(1) == y).float().mean().item()  # type: ignore[no-any-return]

    with trace(net, head, optimizer, into=[right]):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            loss = F.cross_entropy(head(net(x)), y)
            loss.backward()
            optimizer.step()
            assert right(x, y) >= 0
