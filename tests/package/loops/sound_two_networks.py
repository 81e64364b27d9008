"""Nothing to blame: two networks."""

import copy

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp


def sound_gan(trace: Tracing) -> None:
    """DCGAN's order: discriminator with `fake.detach()`, then generator."""
    net_g = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    net_d = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    optimizer_g = torch.optim.Adam(net_g.parameters(), lr=1e-3, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(net_d.parameters(), lr=1e-3, betas=(0.5, 0.999))
    criterion = nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(8, 1), torch.zeros(8, 1)
    with trace(net_g, net_d, optimizer_g, optimizer_d):
        for _ in range(5):
            net_d.zero_grad()
            err_real = criterion(net_d(torch.randn(8, 3) + 2), ones)
            err_real.backward()
            fake = net_g(torch.randn(8, 2))
            err_fake = criterion(net_d(fake.detach()), zeros)
            err_fake.backward()
            optimizer_d.step()

            net_g.zero_grad()
            err_g = criterion(net_d(fake), ones)
            err_g.backward()
            optimizer_g.step()


def sound_gan_no_grad(trace: Tracing) -> None:
    """The fakes come from a generator in train mode under `no_grad`, and that is meant."""
    gen = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))
    disc = nn.Sequential(nn.Linear(3, 8), nn.LeakyReLU(0.2), nn.Dropout(0.2), nn.Linear(8, 1))
    opt_g = torch.optim.Adam(gen.parameters(), lr=1e-3)
    opt_d = torch.optim.Adam(disc.parameters(), lr=1e-3)
    with trace(gen, disc, opt_g, opt_d):
        for _ in range(5):
            opt_d.zero_grad()
            with torch.no_grad():
                fake = gen(torch.randn(8, 2))
            real = torch.randn(8, 3) + 2
            loss_d = F.softplus(-disc(real)).mean() + F.softplus(disc(fake)).mean()
            loss_d.backward()
            opt_d.step()

            opt_g.zero_grad()
            loss_g = F.softplus(-disc(gen(torch.randn(8, 2)))).mean()
            loss_g.backward()
            opt_g.step()


def sound_gan_discriminator_frozen_in_turn(trace: Tracing) -> None:
    """Alternate freezing: `requires_grad_` keeps the generator's backward out of the critic."""
    gen, critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    opt_g = torch.optim.RMSprop(gen.parameters(), lr=1e-3)
    opt_c = torch.optim.RMSprop(critic.parameters(), lr=1e-3)
    with trace(gen, critic, opt_g, opt_c):
        for _ in range(4):
            critic.requires_grad_(True)
            for _ in range(2):
                opt_c.zero_grad()
                fake = gen(torch.randn(8, 2)).detach()
                (critic(fake).mean() - critic(torch.randn(8, 3) + 1).mean()).backward()
                opt_c.step()
                with torch.no_grad():
                    for p in critic.parameters():
                        p.clamp_(-0.1, 0.1)
            critic.requires_grad_(False)
            opt_g.zero_grad()
            (-critic(gen(torch.randn(8, 2))).mean()).backward()
            opt_g.step()


def sound_alternate_freezing(trace: Tracing) -> None:
    """One network, one optimizer; body and head take turns, and gradients are cleared to None."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8)):
            net[0].requires_grad_(i % 2 == 0)
            net[2].requires_grad_(i % 2 == 1)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def sound_dqn(trace: Tracing) -> None:
    """A target network that is copied now and then, and never trained."""
    q_net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    target_net = copy.deepcopy(q_net)
    optimizer = torch.optim.Adam(q_net.parameters(), lr=1e-2)
    with trace(q_net, target_net, optimizer):
        for step in range(6):
            state, action = torch.randn(8, 3), torch.randint(0, 2, (8, 1))
            reward, following = torch.randn(8, 1), torch.randn(8, 3)
            with torch.no_grad():
                target = reward + 0.9 * target_net(following).max(dim=1, keepdim=True).values
            loss = F.smooth_l1_loss(q_net(state).gather(1, action), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 3 == 2:
                target_net.load_state_dict(q_net.state_dict())


def sound_teacher_student(trace: Tracing) -> None:
    """Soft targets are a softmax of the teacher; the student's loss takes logits."""
    teacher = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 3))
    teacher.eval().requires_grad_(False)
    student = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, teacher, optimizer):
        for x, y in classes():
            with torch.no_grad():
                soft = F.softmax(teacher(x) / 2, dim=1)
            logits = student(x)
            loss = F.cross_entropy(logits, y) + 4 * F.cross_entropy(logits / 2, soft)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def sound_mean_teacher(trace: Tracing) -> None:
    """The teacher is a mean of the student, and sees the noise of train mode, as published."""
    student = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
    teacher = copy.deepcopy(student)
    for p in teacher.parameters():
        p.detach_()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with trace(student, optimizer):
        for x, y in classes():
            logits = student(x)
            with torch.no_grad():
                aim = teacher(x).softmax(dim=1)
            loss = F.cross_entropy(logits, y) + F.mse_loss(logits.softmax(dim=1), aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            for t, s in zip(teacher.parameters(), student.parameters(), strict=True):
                t.data.mul_(0.99).add_(s.data, alpha=0.01)


def sound_one_clear_for_two_backwards(trace: Tracing) -> None:
    """Two optimizers share a body; both step with what both losses have left there."""
    body, left, right = nn.Linear(4, 8), nn.Linear(8, 2), nn.Linear(8, 1)
    opt_l = torch.optim.SGD([*body.parameters(), *left.parameters()], lr=0.1)
    opt_r = torch.optim.SGD([*body.parameters(), *right.parameters()], lr=0.1)
    with trace(body, left, right, opt_l, opt_r):
        for x, y in classes():
            opt_l.zero_grad()
            opt_r.zero_grad()
            F.cross_entropy(left(torch.tanh(body(x))), y % 2).backward()
            right(torch.tanh(body(x))).square().mean().backward()
            opt_l.step()
            opt_r.step()
