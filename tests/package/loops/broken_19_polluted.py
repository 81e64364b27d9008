"""Its author believed that a backward for one network leaves the other alone."""

import torch
import torch.nn as nn
from torch import optim

from tests.package.loops import Tracing


def gan() -> tuple[nn.Module, nn.Module]:
    generator = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4))
    discriminator = nn.Sequential(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    return generator, discriminator


def broken(trace: Tracing) -> None:
    """Both are cleared on top; the generator's turn comes first, and fills the discriminator."""
    generator, discriminator = gan()
    optimizer_g = optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizer_d = optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    valid, fake = torch.ones(8, 1), torch.zeros(8, 1)
    with trace(generator, discriminator, optimizer_g, optimizer_d):
        for _ in range(5):
            real = torch.randn(8, 4) + 3
            optimizer_g.zero_grad()
            optimizer_d.zero_grad()

            generated = generator(torch.randn(8, 2))
            g_loss = criterion(discriminator(generated), valid)
            g_loss.backward()
            optimizer_g.step()

            real_loss = criterion(discriminator(real), valid)
            fake_loss = criterion(discriminator(generated.detach()), fake)
            d_loss = (real_loss + fake_loss) / 2
            d_loss.backward()
            optimizer_d.step()  # <- polluted


def repaired(trace: Tracing) -> None:
    generator, discriminator = gan()
    optimizer_g = optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    optimizer_d = optim.Adam(discriminator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    valid, fake = torch.ones(8, 1), torch.zeros(8, 1)
    with trace(generator, discriminator, optimizer_g, optimizer_d):
        for _ in range(5):
            real = torch.randn(8, 4) + 3
            optimizer_g.zero_grad()

            generated = generator(torch.randn(8, 2))
            g_loss = criterion(discriminator(generated), valid)
            g_loss.backward()
            optimizer_g.step()

            optimizer_d.zero_grad()
            real_loss = criterion(discriminator(real), valid)
            fake_loss = criterion(discriminator(generated.detach()), fake)
            d_loss = (real_loss + fake_loss) / 2
            d_loss.backward()
            optimizer_d.step()


def broken_actor_critic(trace: Tracing) -> None:
    """DDPG: the critic is cleared after its own step, before the actor's backward fills it."""
    actor, critic = nn.Linear(3, 1), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    actor_opt = optim.SGD(actor.parameters(), lr=0.01)
    critic_opt = optim.SGD(critic.parameters(), lr=0.1)
    with trace(actor, critic, actor_opt, critic_opt):
        for _ in range(5):
            state, action, target = torch.randn(8, 3), torch.randn(8, 1), torch.randn(8, 1)
            q = critic(torch.cat([state, action], dim=1))
            nn.functional.mse_loss(q, target).backward()
            critic_opt.step()  # <- polluted
            critic_opt.zero_grad()

            actor_loss = -critic(torch.cat([state, actor(state)], dim=1)).mean()
            actor_loss.backward()
            actor_opt.step()
            actor_opt.zero_grad()


def repaired_actor_critic(trace: Tracing) -> None:
    actor, critic = nn.Linear(3, 1), nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    actor_opt = optim.SGD(actor.parameters(), lr=0.01)
    critic_opt = optim.SGD(critic.parameters(), lr=0.1)
    with trace(actor, critic, actor_opt, critic_opt):
        for _ in range(5):
            state, action, target = torch.randn(8, 3), torch.randn(8, 1), torch.randn(8, 1)
            critic_opt.zero_grad()
            q = critic(torch.cat([state, action], dim=1))
            nn.functional.mse_loss(q, target).backward()
            critic_opt.step()

            actor_loss = -critic(torch.cat([state, actor(state)], dim=1)).mean()
            actor_loss.backward()
            actor_opt.step()
            actor_opt.zero_grad()


def broken_shared_trunk(trace: Tracing) -> None:
    """Both optimizers hold the trunk: what the critic has used is used again by the actor."""
    trunk, actor, critic = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)
    actor_opt = optim.SGD([*trunk.parameters(), *actor.parameters()], lr=0.1)
    critic_opt = optim.SGD([*trunk.parameters(), *critic.parameters()], lr=0.1)
    with trace(trunk, actor, critic, actor_opt, critic_opt):
        for _ in range(4):
            state, gain, action = torch.randn(8, 4), torch.randn(8, 1), torch.randint(2, (8,))
            critic_opt.zero_grad()
            nn.functional.mse_loss(critic(torch.tanh(trunk(state))), gain).backward()
            critic_opt.step()
            logits = actor(torch.tanh(trunk(state)))
            nn.functional.cross_entropy(logits, action).backward()
            actor_opt.step()  # <- polluted
            actor_opt.zero_grad()


def repaired_shared_trunk(trace: Tracing) -> None:
    trunk, actor, critic = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)
    actor_opt = optim.SGD([*trunk.parameters(), *actor.parameters()], lr=0.1)
    critic_opt = optim.SGD([*trunk.parameters(), *critic.parameters()], lr=0.1)
    with trace(trunk, actor, critic, actor_opt, critic_opt):
        for _ in range(4):
            state, gain, action = torch.randn(8, 4), torch.randn(8, 1), torch.randint(2, (8,))
            critic_opt.zero_grad()
            nn.functional.mse_loss(critic(torch.tanh(trunk(state))), gain).backward()
            critic_opt.step()
            logits = actor(torch.tanh(trunk(state)))
            actor_opt.zero_grad()
            nn.functional.cross_entropy(logits, action).backward()
            actor_opt.step()
