"""Nothing to blame: losses and layers."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_log_softmax_and_nll(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.LogSoftmax(dim=1))
    criterion = nn.NLLLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()


def sound_log_softmax_and_cross_entropy(trace: Tracing) -> None:
    """Needless, not wrong: the log-softmax of a log-softmax is itself."""
    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_sigmoid_and_bce(trace: Tracing) -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1), nn.Sigmoid())
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer):
        for x, y in regression():
            optimizer.zero_grad()
            loss = F.binary_cross_entropy(net(x), (y > 0).float())
            loss.backward()
            optimizer.step()


class Attention(nn.Module):
    def __init__(self, size: int = 6) -> None:
        super().__init__()
        self.qkv = nn.Linear(size, 3 * size)
        self.head = nn.Linear(size, 3)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        weights = F.softmax(q @ k.transpose(1, 2) / math.sqrt(q.size(-1)), dim=-1)
        out: Tensor = self.head((weights @ v).mean(dim=1))
        return out


def sound_attention(trace: Tracing) -> None:
    net = Attention()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(5):
            x, y = torch.randn(4, 5, 6), torch.randint(0, 3, (4,))
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_gates_of_sigmoid(trace: Tracing) -> None:
    """A sigmoid inside the network, and the loss with logits outside."""
    net = nn.ModuleDict({"gate": nn.Linear(4, 8), "value": nn.Linear(4, 8), "out": nn.Linear(8, 1)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            logits = net["out"](torch.sigmoid(net["gate"](x)) * net["value"](x))
            loss = F.binary_cross_entropy_with_logits(logits, (y > 0).float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_mse_matching(trace: Tracing) -> None:
    net = mlp(1)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in regression():
            optimizer.zero_grad()
            loss = criterion(net(x).squeeze(1), y.squeeze(1))
            loss.backward()
            optimizer.step()


def sound_broadcast_on_purpose(trace: Tracing) -> None:
    """Weights of a row for every example: one side of a product broadcasts, the loss does not."""
    net = mlp(2)
    weights = torch.tensor([1.0, 0.1])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, _ in regression():
            optimizer.zero_grad()
            loss = (weights * (net(x) - x[:, :2]) ** 2).mean()
            loss.backward()
            optimizer.step()


def sound_pairwise_distances(trace: Tracing) -> None:
    """Here all pairs are meant: a contrastive loss."""
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in classes():
            z = net(x)
            distances = (z.unsqueeze(0) - z.unsqueeze(1)).pow(2).sum(dim=2)
            same = (y.unsqueeze(0) == y.unsqueeze(1)).float()
            loss = (same * distances + (1 - same) * F.relu(1 - distances)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class TiedLanguageModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 6)
        self.mix = nn.Linear(6, 6)
        self.out = nn.Linear(6, 7, bias=False)
        self.out.weight = self.embed.weight

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(torch.tanh(self.mix(self.embed(x))))
        return out


def sound_tied_weights(trace: Tracing) -> None:
    tokens = torch.randint(0, 7, (4, 6))
    net = TiedLanguageModel()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(5):
            logits = net(tokens[:, :-1])
            loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


class ListOfRegistered(nn.Module):
    """A plain list of layers that are registered as well, and a teacher hidden on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 3)
        self.order = [self.first, self.second]
        self.teacher = [nn.Linear(4, 3).requires_grad_(False)]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        aim = self.teacher[0](x)
        for layer in self.order:
            x = layer(x)
        return x, aim


def sound_list_of_registered_layers(trace: Tracing) -> None:
    net = ListOfRegistered()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            logits, aim = net(x)
            loss = F.cross_entropy(logits, y) + F.mse_loss(logits, aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_input_gradient(trace: Tracing) -> None:
    """Adversarial training: a first gradient with respect to the input alone."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            probe = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(net(probe), y), probe)
            adversarial = x + 0.1 * gradient.sign()
            optimizer.zero_grad()
            F.cross_entropy(net(adversarial), y).backward()
            optimizer.step()


def sound_adversarial_with_backward(trace: Tracing) -> None:
    """The first backward is for the input; what it leaves in the weights is cleared, rightly."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            x.requires_grad_()
            F.cross_entropy(net(x), y).backward()
            assert x.grad is not None
            adversarial = (x + 0.1 * x.grad.sign()).detach()
            optimizer.zero_grad()
            F.cross_entropy(net(adversarial), y).backward()
            optimizer.step()


def sound_compiled(trace: Tracing) -> None:
    net = mlp()
    compiled = torch.compile(net, backend="eager")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(compiled(x), y).backward()
            optimizer.step()


def sound_compiled_traced(trace: Tracing) -> None:
    net: nn.Module = torch.compile(mlp(), backend="eager")  # type: ignore[assignment]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_sparse_embedding(trace: Tracing) -> None:
    embed = nn.Embedding(9, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(list(embed.parameters()), lr=0.01)
    with trace(embed, optimizer):
        for _ in range(4):
            tokens = torch.randint(0, 9, (5,))
            optimizer.zero_grad()
            embed(tokens).pow(2).sum().backward()
            optimizer.step()
