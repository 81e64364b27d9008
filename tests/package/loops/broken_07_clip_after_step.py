"""Its author believed that clipping belongs to the cleaning up at the end of a batch."""

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tests.package.loops import Tracing


def broken(trace: Tracing) -> None:
    sequences, targets = torch.randn(8, 5, 3), torch.randn(8, 4)
    rnn = nn.GRU(3, 4, batch_first=True)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.5)
    with trace(rnn, optimizer):
        for _ in range(5):
            optimizer.zero_grad()
            _, hidden = rnn(sequences)
            loss = nn.functional.mse_loss(hidden[0], targets)
            loss.backward()
            optimizer.step()
            clip_grad_norm_(rnn.parameters(), max_norm=0.01)  # <- clip-after-step


def repaired(trace: Tracing) -> None:
    sequences, targets = torch.randn(8, 5, 3), torch.randn(8, 4)
    rnn = nn.GRU(3, 4, batch_first=True)
    optimizer = torch.optim.SGD(rnn.parameters(), lr=0.5)
    with trace(rnn, optimizer):
        for _ in range(5):
            optimizer.zero_grad()
            _, hidden = rnn(sequences)
            loss = nn.functional.mse_loss(hidden[0], targets)
            loss.backward()
            clip_grad_norm_(rnn.parameters(), max_norm=0.01)
            optimizer.step()


def broken_value(trace: Tracing) -> None:
    batches = [(torch.randn(4, 6), torch.randint(0, 3, (4,))) for _ in range(5)]
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optim = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with trace(net, optim):
        for features, label in batches:
            loss = nn.functional.cross_entropy(net(features), label)
            loss.backward()
            optim.step()
            clip_grad_value_(net.parameters(), 1e-3)  # <- clip-after-step
            optim.zero_grad()


def repaired_value(trace: Tracing) -> None:
    batches = [(torch.randn(4, 6), torch.randint(0, 3, (4,))) for _ in range(5)]
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optim = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    with trace(net, optim):
        for features, label in batches:
            loss = nn.functional.cross_entropy(net(features), label)
            loss.backward()
            clip_grad_value_(net.parameters(), 1e-3)
            optim.step()
            optim.zero_grad()


def broken_below_the_limit(trace: Tracing) -> None:
    """It changes nothing for now: the norms of these steps are far below."""
    batches = [(torch.randn(4, 6), torch.randint(0, 3, (4,))) for _ in range(5)]
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optim = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optim):
        for features, label in batches:
            nn.functional.cross_entropy(net(features), label).backward()
            optim.step()
            clip_grad_norm_(net.parameters(), 50.0)  # <- clip-after-step
            optim.zero_grad()


def repaired_below_the_limit(trace: Tracing) -> None:
    batches = [(torch.randn(4, 6), torch.randint(0, 3, (4,))) for _ in range(5)]
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    optim = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optim):
        for features, label in batches:
            nn.functional.cross_entropy(net(features), label).backward()
            clip_grad_norm_(net.parameters(), 50.0)
            optim.step()
            optim.zero_grad()
