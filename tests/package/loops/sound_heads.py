"""Nothing to blame: what is in no optimizer, and meant so, or moved in another way."""

import copy
import io
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes


def _train(trace: Tracing, net: nn.Module, whole: Callable[[Tensor], Tensor]) -> None:
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(whole(x), y).backward()
            optimizer.step()


def _body() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU())


def _trained() -> nn.Linear:
    """A head that has been trained, by an optimizer that is gone."""
    net, head = _body(), nn.Linear(8, 3)
    optimizer = torch.optim.SGD([*net.parameters(), *head.parameters()], lr=1.0)
    for x, y in 8 * classes():
        optimizer.zero_grad()
        F.cross_entropy(head(net(x)), y).backward()
        optimizer.step()
    head.zero_grad()
    return head


def sound_trained_before(trace: Tracing) -> None:
    net, head = _body(), _trained()
    _train(trace, net, lambda x: head(net(x)))


def sound_loaded(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3)
    head.load_state_dict(_trained().state_dict())
    _train(trace, net, lambda x: head(net(x)))


def sound_loaded_whole(trace: Tracing) -> None:
    file = io.BytesIO()
    torch.save(_trained(), file)
    file.seek(0)
    net, head = _body(), torch.load(file, weights_only=False)
    _train(trace, net, lambda x: head(net(x)))


def sound_copied(trace: Tracing) -> None:
    net, head = _body(), copy.deepcopy(_trained())
    _train(trace, net, lambda x: head(net(x)))


def sound_fixed_weights(trace: Tracing) -> None:
    """A simplex, a filter: somebody has written them."""
    net, head = _body(), nn.Linear(8, 3, bias=False)
    head.weight = nn.Parameter(torch.eye(8)[:3])
    _train(trace, net, lambda x: head(net(x)))


def sound_written_past_the_counter(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3, bias=False)
    head.weight.data[:] = torch.eye(8)[:3]
    _train(trace, net, lambda x: head(net(x)))


def sound_drawn_in_another_way(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3)
    nn.init.orthogonal_(head.weight)
    _train(trace, net, lambda x: head(net(x)))


def sound_judge_in_eval_mode(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3).eval()
    _train(trace, net, lambda x: head(net(x)))


def sound_frozen_head(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3).requires_grad_(False)
    _train(trace, net, lambda x: head(net(x)))


def sound_random_features(trace: Tracing) -> None:
    """What comes before what learns may be random."""
    body, net = _body(), nn.Linear(8, 3)
    _train(trace, net, lambda x: net(body(x)))


def sound_beside(trace: Tracing) -> None:
    """A teacher, or a prior: the loss reaches what learns without it, too."""
    net, prior = nn.Sequential(_body(), nn.Linear(8, 3)), nn.Linear(4, 3)
    _train(trace, net, lambda x: net(x) + prior(x))


def sound_victim(trace: Tracing) -> None:
    """Larger than what learns to attack it."""
    victim = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    attack = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4))
    _train(trace, attack, lambda x: victim(x + attack(x)))


def sound_an_optimizer_of_its_own(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3)
    optimizers = torch.optim.Adam(net.parameters()), torch.optim.SGD(head.parameters(), lr=0.1)
    with trace(net, optimizers[0]):
        for x, y in classes()[:4]:
            F.cross_entropy(head(net(x)), y).backward()
            for one in optimizers:
                one.step()
                one.zero_grad()


def sound_moved_by_hand(trace: Tracing) -> None:
    net, head = _body(), nn.Linear(8, 3)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            head.zero_grad()
            F.cross_entropy(head(net(x)), y).backward()
            optimizer.step()
            with torch.no_grad():
                for p in head.parameters():
                    assert p.grad is not None
                    p.sub_(p.grad, alpha=0.1)


def sound_a_head_for_each_task(trace: Tracing) -> None:
    """It is adapted without an optimizer; the next task has another one."""
    net = _body()
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            head = nn.Linear(8, 3)
            first = F.cross_entropy(head(net(x)), y)
            slopes = torch.autograd.grad(first, [*head.parameters()], create_graph=True)
            pairs = zip(head.parameters(), slopes, strict=True)
            loss = F.cross_entropy(F.linear(net(x), *(p - 0.1 * s for p, s in pairs)), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_a_score(trace: Tracing) -> None:
    """A judge of one number, and no classes."""
    net, judge = _body(), nn.Linear(8, 1)
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, _ in classes()[:4]:
            optimizer.zero_grad()
            (-judge(net(x)).mean()).backward()
            optimizer.step()
