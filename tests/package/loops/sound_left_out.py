"""Nothing to blame: parameters that a loss reaches and no optimizer holds, and the reverse."""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_head_on_a_backbone(trace: Tracing) -> None:
    """Nothing is frozen: gradients for nothing, and no mistake. A backbone is the larger part."""
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(net[4].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_head_on_what_was_loaded(trace: Tracing) -> None:
    """As large as what is trained, and it has been trained before."""
    net = mlp()
    net.load_state_dict(mlp().state_dict())
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_through_a_judge(trace: Tracing) -> None:
    """A generator learns through a network that judges it, and was made after the optimizer."""
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters())
    judge = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    with trace(net, judge, optimizer):
        for x, _ in classes()[:4]:
            optimizer.zero_grad()
            loss = judge(net(x)).square().mean()
            loss.backward()
            optimizer.step()


def sound_latent(trace: Tracing) -> None:
    """What is optimised is an input; the network stays."""
    net = mlp()
    z = nn.Parameter(torch.randn(6, 4))
    optimizer = torch.optim.Adam([z], lr=0.1)
    with trace(net, optimizer):
        for _ in range(3):
            optimizer.zero_grad()
            loss = net(z).square().mean()
            loss.backward()
            optimizer.step()


def sound_attack(trace: Tracing) -> None:
    """A perturbation for each batch; and one for all, that a line moves."""
    net, shared = mlp(), nn.Parameter(torch.zeros(8, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            delta = nn.Parameter(torch.zeros_like(x))
            F.cross_entropy(net(x + delta + shared), y).backward()
            assert delta.grad is not None
            assert shared.grad is not None
            attacked = (x + 0.1 * delta.grad.sign()).detach()
            shared.data.add_(0.01 * shared.grad.sign())
            shared.grad = None
            optimizer.zero_grad()
            F.cross_entropy(net(attacked), y).backward()
            optimizer.step()


class Forces(nn.Module):
    """Its input is made a parameter: the gradient with respect to it is its output."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, positions: Tensor) -> Tensor:
        positions = nn.Parameter(positions)
        energy = self.net(positions).sum()
        (slope,) = torch.autograd.grad(energy, positions, create_graph=True)
        return -slope


def sound_forces(trace: Tracing) -> None:
    net = Forces()
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, _ in classes()[:4]:
            loss = (net(x) - 1).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_by_hand_beside(trace: Tracing) -> None:
    """Loss weights that a line of the reader's own moves."""
    net, weight = mlp(), nn.Parameter(torch.ones(()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            weight.grad = None
            loss = F.cross_entropy(net(x), y) * weight.exp() - weight
            loss.backward()
            optimizer.step()
            assert weight.grad is not None
            with torch.no_grad():
                weight.sub_(0.01 * weight.grad)


def sound_first_order_maml(trace: Tracing) -> None:
    """Gradients come from a copy that is made for each task."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:3]:
            fast = copy.deepcopy(net)
            inner = torch.optim.SGD(fast.parameters(), lr=0.05)
            F.cross_entropy(fast(x), y).backward()
            inner.step()
            inner.zero_grad()
            F.cross_entropy(fast(x), y).backward()
            for p, q in zip(net.parameters(), fast.parameters(), strict=True):
                p.grad = q.grad
            optimizer.step()


def sound_worker(trace: Tracing) -> None:
    """Gradients come from a copy that stays."""
    net = mlp()
    worker = copy.deepcopy(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:3]:
            worker.load_state_dict(net.state_dict())
            worker.zero_grad()
            F.cross_entropy(worker(x), y).backward()
            for p, q in zip(net.parameters(), worker.parameters(), strict=True):
                p.grad = q.grad
            optimizer.step()


def sound_thawed_and_given(trace: Tracing) -> None:
    """A second optimizer is built for what was thawed."""
    net = mlp()
    net[0].requires_grad_(False)
    optimizers = [torch.optim.SGD(net[2].parameters(), lr=0.1)]
    with trace(net, optimizers[0]):
        for i, (x, y) in enumerate(classes()[:4]):
            if i == 1:
                net[0].requires_grad_(True)
                optimizers.append(torch.optim.SGD(net[0].parameters(), lr=0.01))
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            for optimizer in optimizers:
                optimizer.step()


def sound_biases_only(trace: Tracing) -> None:
    net = mlp()
    biases = [p for name, p in net.named_parameters() if name.endswith("bias")]
    optimizer = torch.optim.SGD(biases, lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


class Adapted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.adapter = nn.Linear(4, 8), nn.Linear(8, 8)
        self.second, self.head = nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        h = h + self.adapter(h)
        out: Tensor = self.head(torch.relu(self.second(h)))
        return out


def sound_adapter(trace: Tracing) -> None:
    net = Adapted()
    optimizer = torch.optim.SGD([*net.adapter.parameters(), *net.head.parameters()], lr=0.1)
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_warm_up_detached(trace: Tracing) -> None:
    """The encoder's optimizer steps with nothing, as long as its output is detached."""
    encoder, head = nn.Linear(4, 8), nn.Linear(8, 3)
    opt_e, opt_h = (torch.optim.Adam(net.parameters()) for net in (encoder, head))
    with trace(encoder, head, opt_e, opt_h):
        for x, y in classes()[:4]:
            features = encoder(x).detach()
            opt_e.zero_grad()
            opt_h.zero_grad()
            loss = F.cross_entropy(head(features), y)
            loss.backward()
            opt_e.step()
            opt_h.step()


def sound_straight_through(trace: Tracing) -> None:
    """Bits in the forward, and a gradient all the same."""
    encoder, decoder = nn.Linear(4, 6), nn.Linear(6, 4)
    opt = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()])
    with trace(encoder, decoder, opt):
        for x, _ in classes()[:4]:
            code = encoder(x)
            hard = (code > 0).float()
            bits = hard + code - code.detach()
            loss = F.mse_loss(decoder(bits), x)
            opt.zero_grad()
            loss.backward()
            opt.step()


def sound_new_gradients_between_two_steps(trace: Tracing) -> None:
    """One optimizer, two losses and two steps; then noise, as a gradient of its own."""
    net = mlp()
    opt = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, opt):
        for x, y in classes()[:3]:
            opt.zero_grad()
            F.cross_entropy(net(x), y).backward()
            opt.step()
            opt.zero_grad()
            net(x).square().mean().backward()
            opt.step()
            for p in net.parameters():
                p.grad = 0.01 * torch.randn_like(p)
            opt.step()


class Scaled(nn.Module):
    """A layer of the reader's own."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.randn(n_in, n_out) / n_in)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.w


def sound_own_layers_that_stay(trace: Tracing) -> None:
    """A backbone, and a judge, of layers of the reader's own."""
    backbone, net = Scaled(4, 8), nn.Linear(8, 3)
    judge = nn.Sequential(Scaled(3, 4), nn.ReLU(), Scaled(4, 1))
    optimizer = torch.optim.Adam(net.parameters())
    with trace(net, optimizer):
        for x, y in classes()[:4]:
            outputs = net(backbone(x))
            loss = F.cross_entropy(outputs, y) + judge(outputs).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
