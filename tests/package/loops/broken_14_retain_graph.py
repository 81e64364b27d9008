"""Its author believed the error message: "specify retain_graph=True"."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing


class RNN(nn.Module):
    def __init__(self, n_in: int, n_hidden: int, n_out: int) -> None:
        super().__init__()
        self.i2h = nn.Linear(n_in + n_hidden, n_hidden)
        self.h2o = nn.Linear(n_hidden, n_out)

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.tanh(self.i2h(torch.cat([x, hidden], dim=1)))
        return self.h2o(hidden), hidden


def broken(trace: Tracing) -> None:
    """An update through `.data` goes unnoticed by autograd, so nothing raises: it gets slower."""
    line = F.one_hot(torch.randint(0, 5, (9,)), 5).float()
    rnn = RNN(5, 6, 5)
    learning_rate = 0.05
    hidden = torch.zeros(1, 6)
    with trace(rnn):
        for t in range(8):
            rnn.zero_grad()
            output, hidden = rnn(line[t : t + 1], hidden)
            loss = F.cross_entropy(output, line[t + 1].argmax().view(1))
            loss.backward(retain_graph=True)  # <- graph-grows
            for p in rnn.parameters():
                if p.grad is not None:
                    p.data.add_(p.grad.data, alpha=-learning_rate)


def repaired(trace: Tracing) -> None:
    line = F.one_hot(torch.randint(0, 5, (9,)), 5).float()
    rnn = RNN(5, 6, 5)
    learning_rate = 0.05
    hidden = torch.zeros(1, 6)
    with trace(rnn):
        for t in range(8):
            rnn.zero_grad()
            output, hidden = rnn(line[t : t + 1], hidden.detach())
            loss = F.cross_entropy(output, line[t + 1].argmax().view(1))
            loss.backward()
            for p in rnn.parameters():
                if p.grad is not None:
                    p.data.add_(p.grad.data, alpha=-learning_rate)


def broken_prototype(trace: Tracing) -> None:
    """A running mean of features; one linear layer never asks for the weight it had before."""
    encoder = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.05)
    batches = [torch.randn(8, 6) + 1 for _ in range(6)]
    centre = torch.ones(3)
    with trace(encoder, optimizer):
        for x in batches:
            features = encoder(x)
            centre = 0.9 * centre + 0.1 * features.mean(dim=0)
            loss = (features - centre).pow(2).mean()
            optimizer.zero_grad()
            loss.backward(retain_graph=True)  # <- graph-grows
            optimizer.step()


def repaired_prototype(trace: Tracing) -> None:
    encoder = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(encoder.parameters(), lr=0.05)
    batches = [torch.randn(8, 6) + 1 for _ in range(6)]
    centre = torch.ones(3)
    with trace(encoder, optimizer):
        for x in batches:
            features = encoder(x)
            centre = 0.9 * centre.detach() + 0.1 * features.mean(dim=0)
            loss = (features - centre).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def broken_with_optimizer(trace: Tracing) -> None:
    """Raises RuntimeError: the kept graph needs the weights that the step has changed in place."""
    series = torch.randn(1, 25, 2)
    gru, readout = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2)
    model = nn.ModuleList([gru, readout])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hidden = torch.zeros(1, 1, 4)
    with trace(model, optimizer):
        for i in range(0, 24, 4):
            out, hidden = gru(series[:, i : i + 4], hidden)
            loss = F.mse_loss(readout(out), series[:, i + 1 : i + 5])
            optimizer.zero_grad()
            loss.backward(retain_graph=True)  # <- graph-grows
            optimizer.step()


def repaired_with_optimizer(trace: Tracing) -> None:
    series = torch.randn(1, 25, 2)
    gru, readout = nn.GRU(2, 4, batch_first=True), nn.Linear(4, 2)
    model = nn.ModuleList([gru, readout])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    hidden = torch.zeros(1, 1, 4)
    with trace(model, optimizer):
        for i in range(0, 24, 4):
            out, hidden = gru(series[:, i : i + 4], hidden.detach())
            loss = F.mse_loss(readout(out), series[:, i + 1 : i + 5])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
