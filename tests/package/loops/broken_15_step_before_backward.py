"""Its author believed that once a loss is computed, its gradient no longer needs the weights."""

# ruff: noqa: N806
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.package.loops import Tracing


class ActorCritic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16))
        self.policy = nn.Linear(16, 2)
        self.value = nn.Linear(16, 1)

    def forward(self, state: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.tanh(self.body(state))
        return self.policy(h), self.value(h).squeeze(-1)


def broken(trace: Tracing) -> None:
    """Raises RuntimeError: the second backward goes through the body that has just been moved."""
    net = ActorCritic()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    with trace(net, optimizer):
        for _ in range(4):
            states, actions, returns = torch.randn(8, 4), torch.randint(0, 2, (8,)), torch.randn(8)
            logits, values = net(states)
            advantage = returns - values.detach()
            actor_loss = (F.cross_entropy(logits, actions, reduction="none") * advantage).mean()
            critic_loss = F.mse_loss(values, returns)

            optimizer.zero_grad()
            actor_loss.backward(retain_graph=True)
            optimizer.step()  # <- step-before-backward
            optimizer.zero_grad()
            critic_loss.backward()
            optimizer.step()


def repaired(trace: Tracing) -> None:
    net = ActorCritic()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    with trace(net, optimizer):
        for _ in range(4):
            states, actions, returns = torch.randn(8, 4), torch.randint(0, 2, (8,)), torch.randn(8)
            logits, values = net(states)
            advantage = returns - values.detach()
            actor_loss = (F.cross_entropy(logits, actions, reduction="none") * advantage).mean()
            critic_loss = F.mse_loss(values, returns)

            optimizer.zero_grad()
            actor_loss.backward(retain_graph=True)
            critic_loss.backward()
            optimizer.step()


def broken_gan(trace: Tracing) -> None:
    """Raises RuntimeError: the generator's loss goes through the discriminator of before."""
    netG = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    netD = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    optG = torch.optim.Adam(netG.parameters(), lr=1e-3)
    optD = torch.optim.Adam(netD.parameters(), lr=1e-3)
    bce = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(6, 1), torch.zeros(6, 1)
    with trace(netG, netD, optG, optD):
        for _ in range(4):
            fake = netG(torch.randn(6, 2))
            score = netD(fake)
            optD.zero_grad()
            errD = bce(netD(torch.randn(6, 3) + 2), ones) + bce(score, zeros)
            errD.backward(retain_graph=True)
            optD.step()  # <- step-before-backward
            optG.zero_grad()
            errG = bce(score, ones)
            errG.backward()
            optG.step()


def repaired_gan(trace: Tracing) -> None:
    netG = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))
    netD = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    optG = torch.optim.Adam(netG.parameters(), lr=1e-3)
    optD = torch.optim.Adam(netD.parameters(), lr=1e-3)
    bce = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(6, 1), torch.zeros(6, 1)
    with trace(netG, netD, optG, optD):
        for _ in range(4):
            fake = netG(torch.randn(6, 2))
            score = netD(fake.detach())
            optD.zero_grad()
            errD = bce(netD(torch.randn(6, 3) + 2), ones) + bce(score, zeros)
            errD.backward()
            optD.step()
            optG.zero_grad()
            errG = bce(netD(fake), ones)
            errG.backward()
            optG.step()


def broken_one_layer(trace: Tracing) -> None:
    """Nothing raises, for one linear layer never asks for its weight: every step is a batch late.

    The forward pass of a batch, then the step with the gradient of the batch before.
    """
    batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(6)]
    model = nn.Linear(3, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for x, y in batches:
            loss = F.mse_loss(model(x), y)
            opt.step()  # <- step-a-batch-late
            opt.zero_grad()
            loss.backward()


def repaired_one_layer(trace: Tracing) -> None:
    batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(6)]
    model = nn.Linear(3, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    with trace(model, opt):
        for x, y in batches:
            loss = F.mse_loss(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()


def broken_warm_up(trace: Tracing) -> None:
    """Raises RuntimeError at a learning rate of 0, too: the step writes the same values."""
    batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(4)]
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: step / 10)
    F.mse_loss(model(batches[0][0]), batches[0][1]).backward()
    with trace(model, opt):
        for x, y in batches:
            loss = F.mse_loss(model(x), y)
            opt.step()  # <- step-before-backward
            loss.backward()
            warm.step()


def repaired_warm_up(trace: Tracing) -> None:
    batches = [(torch.randn(8, 3), torch.randn(8, 1)) for _ in range(4)]
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda step: (step + 1) / 10)
    with trace(model, opt):
        for x, y in batches:
            opt.zero_grad()
            loss = F.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            warm.step()
