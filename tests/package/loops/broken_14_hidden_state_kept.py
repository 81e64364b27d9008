"""Its author believed that the hidden state is a value, to be handed on like any other."""

import torch
from torch import Tensor, nn

from tests.package.loops import Tracing


class CharRNN(nn.Module):
    def __init__(self, vocabulary: int = 7, size: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, size)
        self.lstm = nn.LSTM(size, size, batch_first=True)
        self.out = nn.Linear(size, vocabulary)

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        y, state = self.lstm(self.embed(x), state)
        return self.out(y), state


def broken(trace: Tracing) -> None:
    """Raises RuntimeError in the second batch."""
    text = torch.randint(0, 7, (2, 31))
    model = CharRNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    state = None
    with trace(model, optimizer):
        for i in range(0, 30, 5):
            x, target = text[:, i : i + 5], text[:, i + 1 : i + 6]
            optimizer.zero_grad()
            logits, state = model(x, state)
            loss = criterion(logits.transpose(1, 2), target)
            loss.backward()  # <- backward-twice
            optimizer.step()


def repaired(trace: Tracing) -> None:
    text = torch.randint(0, 7, (2, 31))
    model = CharRNN()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    state = None
    with trace(model, optimizer):
        for i in range(0, 30, 5):
            x, target = text[:, i : i + 5], text[:, i + 1 : i + 6]
            optimizer.zero_grad()
            if state is not None:
                state = (state[0].detach(), state[1].detach())
            logits, state = model(x, state)
            loss = criterion(logits.transpose(1, 2), target)
            loss.backward()
            optimizer.step()


def broken_outside_the_loop(trace: Tracing) -> None:
    """Raises RuntimeError in the second epoch: the forward pass is done once, before the loop."""
    x, y = torch.randn(12, 3), torch.randint(0, 2, (12,))
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with trace(net):
        loss = nn.functional.cross_entropy(net(x), y)
        for _epoch in range(4):
            net.zero_grad()
            loss.backward()  # <- backward-twice
            with torch.no_grad():
                for p in net.parameters():
                    if p.grad is not None:
                        p.sub_(0.1 * p.grad)


def repaired_outside_the_loop(trace: Tracing) -> None:
    x, y = torch.randn(12, 3), torch.randint(0, 2, (12,))
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2))
    with trace(net):
        for _epoch in range(4):
            loss = nn.functional.cross_entropy(net(x), y)
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for p in net.parameters():
                    if p.grad is not None:
                        p.sub_(0.1 * p.grad)
