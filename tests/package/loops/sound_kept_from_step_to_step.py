"""Nothing to blame: what is kept from step to step."""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import swa_utils

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_sum_of_items(trace: Tracing) -> None:
    batches, net = classes(), mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        total = 0.0
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(total / len(batches))


def sound_list_of_items(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    losses, accuracies = [], []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            outputs = net(x)
            loss = F.cross_entropy(outputs, y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            accuracies.append((outputs.argmax(1) == y).float().mean())


def sound_list_of_detached(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    history = []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            history.append(loss.detach())


def sound_sum_of_detached(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    running = torch.zeros(())
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            running += loss.detach()


def sound_outputs_kept_under_no_grad(trace: Tracing) -> None:
    batches, net = classes(), mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            outputs = []
            with torch.no_grad():
                for x, _ in batches:
                    outputs.append(net(x))
            print(torch.cat(outputs).shape)


def sound_retained_gradient(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    norms = []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            logits = net(x)
            logits.retain_grad()
            F.cross_entropy(logits, y).backward()
            norms.append(logits.grad.norm())
            optimizer.step()


def sound_truncated_bptt(trace: Tracing) -> None:
    text = torch.randint(0, 5, (2, 25))
    embed, lstm, out = nn.Embedding(5, 6), nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 5)
    model = nn.ModuleList([embed, lstm, out])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    hidden = (torch.zeros(1, 2, 6), torch.zeros(1, 2, 6))
    with trace(model, optimizer):
        for i in range(0, 24, 4):
            hidden = (hidden[0].detach(), hidden[1].detach())
            y, hidden = lstm(embed(text[:, i : i + 4]), hidden)
            loss = F.cross_entropy(out(y).flatten(0, 1), text[:, i + 1 : i + 5].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            optimizer.step()


def sound_reinforce(trace: Tracing) -> None:
    """The log-probabilities of an episode are kept, with their graph, until it ends."""
    policy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2), nn.Softmax(dim=-1))
    optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
    with trace(policy, optimizer):
        for _episode in range(4):
            log_probs, rewards = [], []
            state = torch.randn(3)
            for _t in range(5):
                distribution = torch.distributions.Categorical(policy(state))
                action = distribution.sample()
                log_probs.append(distribution.log_prob(action))
                rewards.append(float(action) + state[0].item())
                state = torch.randn(3)
            returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
            loss = -(torch.stack(log_probs) * (returns - returns.mean())).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_ema_by_hand(trace: Tracing) -> None:
    net = mlp()
    ema = copy.deepcopy(net).requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(ema.parameters(), net.parameters(), strict=True):
                    slow.lerp_(fast, 0.1)


def sound_weight_averaging(trace: Tracing) -> None:
    """`update_bn` runs the averaged net in train mode without gradients; that is its task."""
    batches = classes(4)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    average = swa_utils.AveragedModel(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, average, optimizer):
        for _epoch in range(3):
            for x, y in batches:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            average.update_parameters(net)
        swa_utils.update_bn(batches, average)
