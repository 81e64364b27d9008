"""Nothing to blame: graphs that are kept for a while, and not beyond their use."""

from collections import deque

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_losses_of_a_step(trace: Tracing) -> None:
    """Several losses, in a list and in a dict, that are summed and gone through once."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(5):
            losses, named = [], {}
            for part, target in zip(x.split(2), y.split(2), strict=True):
                losses.append(F.cross_entropy(net(part), target))
            named["all"] = torch.stack(losses).mean()
            named["small"] = 0.01 * net(x).square().mean()
            total = torch.stack([*named.values()]).sum()
            optimizer.zero_grad()
            total.backward()
            optimizer.step()


def sound_accumulated_losses_of_a_window(trace: Tracing) -> None:
    """The losses of a step's four parts are summed for the log, and forgotten with the step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            optimizer.zero_grad()
            total, seen = torch.zeros(()), []
            for part, target in zip(x.split(2), y.split(2), strict=True):
                loss = F.cross_entropy(net(part), target) / 4
                loss.backward()
                total += loss
                seen.append(loss)
            optimizer.step()
            print(float(total), len(seen))


def sound_truncated(trace: Tracing) -> None:
    """Every third batch the losses since the last time are gone through together."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    pending: list[Tensor] = []
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(9)):
            pending.append(F.cross_entropy(net(x), y))
            if i % 3 == 2:
                optimizer.zero_grad()
                torch.stack(pending).sum().backward()
                optimizer.step()
                pending.clear()


class Agent:
    def __init__(self) -> None:
        self.policy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
        self.saved: list[tuple[Tensor, float]] = []
        self.episodes: list[float] = []

    def act(self, state: Tensor) -> int:
        distribution = torch.distributions.Categorical(logits=self.policy(state))
        action = distribution.sample()
        self.saved.append((distribution.log_prob(action), float(state[0])))
        return int(action)


def sound_episodes(trace: Tracing) -> None:
    """Log-probabilities of an episode in an agent, emptied after each."""
    agent = Agent()
    optimizer = torch.optim.Adam(agent.policy.parameters(), lr=0.01)
    with trace(agent.policy, optimizer, into=[Agent.act]):
        for episode in range(4):
            for _t in range(3 + episode):
                agent.act(torch.randn(3))
            loss = -torch.stack([p * r for p, r in agent.saved]).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            agent.episodes.append(loss.item())
            del agent.saved[:]


def sound_latest_only(trace: Tracing) -> None:
    """What is written over does not grow; a short queue forgets."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    cache: dict[str, Tensor] = {}
    last: deque[Tensor] = deque(maxlen=3)
    state = nn.Module()
    with trace(net, optimizer):
        for x, y in classes(6):
            optimizer.zero_grad()
            logits = net(x)
            cache["logits"] = logits
            loss = F.cross_entropy(logits, y)
            cache["loss"] = loss
            state.loss = loss
            last.append(loss)
            loss.backward()
            optimizer.step()


def sound_activations(trace: Tracing) -> None:
    """A hook keeps the activations of the step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    activations: dict[str, Tensor] = {}
    net[0].register_forward_hook(lambda module, inputs, out: activations.update(first=out))
    seen: list[Tensor] = []
    with trace(net, optimizer):
        for x, y in classes(5):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y) + 1e-3 * activations["first"].abs().mean()
            loss.backward()
            optimizer.step()
            seen += [activations["first"].detach().mean(0)]


def sound_replay(trace: Tracing) -> None:
    net = mlp(2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    memory: list[tuple[Tensor, Tensor, float]] = []
    with trace(net, optimizer):
        state = torch.randn(4)
        for _ in range(6):
            with torch.no_grad():
                action = net(state).argmax()
            following = torch.randn(4)
            memory.append((state, action, float(following[0])))
            state = following
            states = torch.stack([one[0] for one in memory])
            rewards = torch.tensor([one[2] for one in memory])
            loss = F.mse_loss(net(states).max(1).values, rewards)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_moving_average_of_features(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    centre = torch.zeros(3)
    with trace(net, optimizer):
        for x, y in classes(5):
            features = net(x)
            centre = 0.9 * centre.detach() + 0.1 * features.mean(0)
            loss = F.cross_entropy(features, y) + (features - centre).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_cleared_each_epoch(trace: Tracing) -> None:
    """One batch makes an epoch here: the list lives as long as its step."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses: list[Tensor] = []
    with trace(net, optimizer):
        for x, y in classes(5):
            losses.clear()
            for part, target in zip(x.split(4), y.split(4), strict=True):
                loss = F.cross_entropy(net(part), target) / 2
                losses.append(loss)
                loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def sound_residual_loop(trace: Tracing) -> None:
    """`h = h + f(h)`, again and again within a step."""
    cell, out = nn.Linear(4, 4), nn.Linear(4, 3)
    net = nn.ModuleList([cell, out])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            h, trajectory = x, []
            for _ in range(3):
                h = h + 0.1 * torch.tanh(cell(h))
                trajectory.append(h)
            loss = F.cross_entropy(out(torch.stack(trajectory).mean(0)), y)
            loss = loss + 1e-3 * h.square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_attacks_in_eval_mode(trace: Tracing) -> None:
    """Adversarial examples are made in eval mode, and trained on in training mode."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(4):
            net.eval()
            attacked = x.clone()
            for _ in range(3):
                attacked.requires_grad_()
                loss = F.cross_entropy(net(attacked), y)
                (gradient,) = torch.autograd.grad(loss, attacked)
                attacked = (attacked + 0.01 * gradient.sign()).detach()
            net.train()
            optimizer.zero_grad()
            F.cross_entropy(net(attacked), y).backward()
            optimizer.step()


def sound_views_before_a_loss(trace: Tracing) -> None:
    """Several forwards, in a list, then one more, then the backward through all of them."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, _ in classes(4):
            views = []
            for _view in range(2):
                view = net(x + 0.1 * torch.randn_like(x))
                views.append(view)
            anchor = net(x)
            loss = sum((F.mse_loss(view, anchor) for view in views), torch.zeros(()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_frozen_in_eval_mode(trace: Tracing) -> None:
    """A fixed critic of features in eval mode makes no graph of its own; the loss needs it."""
    net, critic = mlp(), mlp().eval().requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, critic, optimizer):
        for x, _ in classes(4):
            wanted = [critic(part) for part in x.split(4)]
            made = critic(torch.cat([net(x), x[:, :1]], dim=1))
            loss = F.mse_loss(made, torch.cat(wanted))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_only_the_latest_few(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    recent: list[Tensor] = []
    by_step: dict[int, Tensor] = {}
    tail: list[Tensor] = []
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(6)):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            recent.append(loss)
            if len(recent) > 3:
                recent.pop(0)
            by_step[i] = loss
            by_step.pop(i - 3, None)
            tail.append(loss)
            tail = tail[-3:]


def sound_more_parts_each_time(trace: Tracing) -> None:
    """A list of its own for every step, longer each time: none of it was there before."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for size, (x, y) in zip((8, 4, 2, 1), classes(4), strict=True):
            parts = zip(x.split(size), y.split(size), strict=True)
            losses = [F.cross_entropy(net(part), target) for part, target in parts]
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()
            seen: list[Tensor] = []
            seen.extend(losses)


def sound_kept_for_the_other(trace: Tracing) -> None:
    """One network steps each time; the other's losses wait for every fourth."""
    fast, slow = mlp(), mlp()
    often = torch.optim.SGD(fast.parameters(), lr=0.1)
    seldom = torch.optim.SGD(slow.parameters(), lr=0.1)
    pending: list[Tensor] = []
    with trace(fast, often):
        for i, (x, y) in enumerate(classes(8)):
            pending.append(F.cross_entropy(slow(x), y))
            often.zero_grad()
            F.cross_entropy(fast(x), y).backward()
            often.step()
            if i % 4 == 3:
                seldom.zero_grad()
                torch.stack(pending).mean().backward()
                seldom.step()
                pending = []
