"""Loops with nothing to blame: a finding on any of them is a false alarm."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import lr_scheduler, swa_utils

from tests.loops import Tracing

Batches = list[tuple[Tensor, Tensor]]


def classes(n: int = 6, size: int = 8, seed: int = 0) -> Batches:
    """`n` batches of 4 features and a label of 3."""
    torch.manual_seed(seed)
    inputs = [torch.randn(size, 4) for _ in range(n)]
    return [(x, x[:, :3].argmax(dim=1)) for x in inputs]


def regression(n: int = 6, size: int = 8, seed: int = 0) -> Batches:
    """`n` batches of 4 features and a target column."""
    torch.manual_seed(seed)
    inputs = [torch.randn(size, 4) for _ in range(n)]
    return [(x, x.sum(dim=1, keepdim=True) + 0.1) for x in inputs]


def mlp(n_out: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, n_out))


# The routine, and its harmless variations.


def legit_routine(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def legit_zero_grad_last(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def legit_zero_grad_before_backward(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in classes(3):
                loss = F.cross_entropy(net(x), y)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()


def legit_zero_grad_twice(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()


def legit_net_zero_grad(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    with trace(net, optimizer):
        for x, y in classes():
            net.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_set_to_none_false(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad(set_to_none=False)
            loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def legit_grad_set_to_none_by_hand(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            for p in net.parameters():
                p.grad = None
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_fresh_parameters(trace: Tracing) -> None:
    """The first `zero_grad` comes after the first step."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    batches = classes()
    with trace(net, optimizer):
        for i, (x, y) in enumerate(batches):
            if i > 0:
                optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_single_step(trace: Tracing) -> None:
    torch.manual_seed(0)
    (x, y), *_ = classes(1)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()


def legit_backward_only(trace: Tracing) -> None:
    torch.manual_seed(0)
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        loss = F.cross_entropy(net(x), y)
        loss.backward()


def legit_backward_only_with_optimizer(trace: Tracing) -> None:
    torch.manual_seed(0)
    (x, y), *_ = classes(1)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        optimizer.zero_grad()
        outputs = net(x)
        loss = F.cross_entropy(outputs, y)
        loss.backward()


def legit_look_at_accumulation(trace: Tracing) -> None:
    """A lesson: the gradient doubles when nobody clears it."""
    torch.manual_seed(0)
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        F.cross_entropy(net(x), y).backward()
        F.cross_entropy(net(x), y).backward()


def legit_look_at_one_graph_twice(trace: Tracing) -> None:
    torch.manual_seed(0)
    (x, y), *_ = classes(1)
    net = mlp()
    with trace(net):
        loss = F.cross_entropy(net(x), y)
        loss.backward(retain_graph=True)
        loss.backward()


def legit_helpers(trace: Tracing) -> None:
    """The lines are in functions of their own."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    train_loader, valid_loader = classes(3), classes(2, seed=1)
    with trace(net, optimizer, into=[train_one_epoch, validate]):
        for _epoch in range(2):
            train_one_epoch(net, train_loader, optimizer)
            validate(net, valid_loader)


def train_one_epoch(net: nn.Module, loader: Batches, optimizer: torch.optim.Optimizer) -> float:
    net.train()
    running = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        running += loss.item() * len(x)
    return running / sum(len(x) for x, _ in loader)


@torch.no_grad()
def validate(net: nn.Module, loader: Batches) -> float:
    net.eval()
    correct = sum(int((net(x).argmax(1) == y).sum()) for x, y in loader)
    return correct / sum(len(x) for x, _ in loader)


def legit_generator_of_batches(trace: Tracing) -> None:
    torch.manual_seed(0)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        yield from classes()

    net = mlp()
    optimizer = torch.optim.NAdam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in batches():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


# Accumulation.


def legit_accumulation(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    accumulation_steps = 3
    with trace(net, optimizer):
        optimizer.zero_grad()
        for i, (x, y) in enumerate(classes(12)):
            loss = F.cross_entropy(net(x), y) / accumulation_steps
            loss.backward()
            if (i + 1) % accumulation_steps == 0:
                optimizer.step()
                optimizer.zero_grad()


def legit_accumulation_with_leftovers(trace: Tracing) -> None:
    """Seven batches in groups of three: the last group is one batch, and divides by one."""
    torch.manual_seed(0)
    loader = classes(7)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    n = 3
    with trace(net, optimizer):
        for _epoch in range(2):
            for i, (x, y) in enumerate(loader):
                group = min(n, len(loader) - i // n * n)
                loss = F.cross_entropy(net(x), y)
                (loss / group).backward()
                if (i + 1) % n == 0 or i + 1 == len(loader):
                    optimizer.step()
                    optimizer.zero_grad()


def legit_accumulation_dividing_gradients(trace: Tracing) -> None:
    torch.manual_seed(0)
    loader = classes(12)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for start in range(0, 12, 3):
            optimizer.zero_grad()
            for x, y in loader[start : start + 3]:
                F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad /= 3
            optimizer.step()


def legit_accumulation_of_sums(trace: Tracing) -> None:
    """Each loss is a sum over its examples, divided by the number of examples in the group."""
    torch.manual_seed(0)
    loader = classes(8, size=4)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss(reduction="sum")
    with trace(net, optimizer):
        for start in range(0, 8, 2):
            group = loader[start : start + 2]
            examples = sum(len(x) for x, _ in group)
            optimizer.zero_grad()
            for x, y in group:
                loss = criterion(net(x), y) / examples
                loss.backward()
            optimizer.step()


def legit_accumulation_clipped(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8), start=1):
            (F.cross_entropy(net(x), y) / 2).backward()
            if i % 2 == 0:
                nn.utils.clip_grad_norm_(net.parameters(), 0.1)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)


# Several losses, several backward calls.


def legit_several_losses_one_backward(trace: Tracing) -> None:
    """A total of losses is a graph on purpose: it is made anew in every step."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"body": nn.Linear(4, 8), "a": nn.Linear(8, 3), "b": nn.Linear(8, 1)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for (x, y), (_, t) in zip(classes(5), regression(5), strict=True):
            optimizer.zero_grad()
            h = torch.tanh(net["body"](x))
            total = torch.zeros(())
            total += F.cross_entropy(net["a"](h), y)
            total += 0.5 * F.mse_loss(net["b"](h), t)
            total.backward()
            optimizer.step()


def legit_several_backwards_one_step(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = nn.ModuleDict({"body": nn.Linear(4, 8), "a": nn.Linear(8, 3), "b": nn.Linear(8, 1)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for (x, y), (_, t) in zip(classes(5), regression(5), strict=True):
            optimizer.zero_grad()
            h = torch.tanh(net["body"](x))
            loss_a = F.cross_entropy(net["a"](h), y)
            loss_b = F.mse_loss(net["b"](h), t)
            loss_a.backward(retain_graph=True)
            loss_b.backward()
            optimizer.step()


def legit_list_of_losses(trace: Tracing) -> None:
    """An unrolled sequence: the losses of its steps, one backward."""
    torch.manual_seed(0)
    cell, readout = nn.GRUCell(2, 6), nn.Linear(6, 2)
    model = nn.ModuleList([cell, readout])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    with trace(model, optimizer):
        for _ in range(4):
            series = torch.randn(6, 3, 2)
            hidden = torch.zeros(3, 6)
            losses = []
            for t in range(5):
                hidden = cell(series[t], hidden)
                losses.append(F.mse_loss(readout(hidden), series[t + 1]))
            optimizer.zero_grad()
            torch.stack(losses).mean().backward()
            optimizer.step()


def legit_regularisation_by_hand(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in regression():
            loss = F.mse_loss(net(x), y)
            for p in net.parameters():
                loss = loss + 1e-3 * p.abs().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def legit_one_backward_two_optimizers(trace: Tracing) -> None:
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(4, 2), nn.Linear(2, 4)
    opt_e = torch.optim.Adam(encoder.parameters(), lr=0.01)
    opt_d = torch.optim.SGD(decoder.parameters(), lr=0.1)
    with trace(encoder, decoder, opt_e, opt_d):
        for x, _ in classes():
            opt_e.zero_grad()
            opt_d.zero_grad()
            loss = F.mse_loss(decoder(encoder(x)), x)
            loss.backward()
            opt_e.step()
            opt_d.step()


def legit_gradients_by_autograd_grad(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            for p, g in zip(net.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()


def legit_gradient_penalty(trace: Tracing) -> None:
    """WGAN-GP's critic: a gradient of a gradient, `create_graph=True`."""
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.0, 0.9))
    with trace(critic, optimizer):
        for _ in range(4):
            real, fake = torch.randn(6, 3) + 1, torch.randn(6, 3)
            mixed = torch.lerp(real, fake, torch.rand(6, 1)).requires_grad_()
            (g,) = torch.autograd.grad(critic(mixed).sum(), mixed, create_graph=True)
            penalty = (g.norm(dim=1) - 1).pow(2).mean()
            loss = critic(fake).mean() - critic(real).mean() + 10 * penalty
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def legit_non_finite_batch_skipped(trace: Tracing) -> None:
    torch.manual_seed(0)
    batches = regression(6)
    batches[3] = (batches[3][0] * float("inf"), batches[3][1])
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            if not torch.isfinite(loss):
                optimizer.zero_grad()
                continue
            optimizer.step()


def legit_non_finite_norm_skipped(trace: Tracing) -> None:
    torch.manual_seed(0)
    batches = regression(6)
    batches[2] = (batches[2][0], batches[2][1] * float("nan"))
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in batches:
            loss = F.mse_loss(net(x), y)
            loss.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            if torch.isfinite(norm):
                optimizer.step()
            optimizer.zero_grad()


# Two networks.


def legit_gan(trace: Tracing) -> None:
    """DCGAN's order: discriminator with `fake.detach()`, then generator."""
    torch.manual_seed(0)
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


def legit_gan_no_grad(trace: Tracing) -> None:
    """The fakes come from a generator in train mode under `no_grad`, and that is meant."""
    torch.manual_seed(1)
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


def legit_gan_discriminator_frozen_in_turn(trace: Tracing) -> None:
    """Alternate freezing: `requires_grad_` keeps the generator's backward out of the critic."""
    torch.manual_seed(2)
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


def legit_alternate_freezing(trace: Tracing) -> None:
    """One network, one optimizer; body and head take turns, and gradients are cleared to None."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8)):
            net[0].requires_grad_(i % 2 == 0)
            net[2].requires_grad_(i % 2 == 1)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_dqn(trace: Tracing) -> None:
    """A target network that is copied now and then, and never trained."""
    torch.manual_seed(0)
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


def legit_teacher_student(trace: Tracing) -> None:
    """Soft targets are a softmax of the teacher; the student's loss takes logits."""
    torch.manual_seed(0)
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


def legit_mean_teacher(trace: Tracing) -> None:
    """The teacher is a mean of the student, and sees the noise of train mode, as published."""
    torch.manual_seed(0)
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


# Clipping and mixed precision.


def legit_clipping(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.05)
            optimizer.step()


def legit_clipping_by_value_and_hook(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    next(net.parameters()).register_hook(lambda g: g.clamp(-0.01, 0.01))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    with trace(net, optimizer):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            nn.utils.clip_grad_value_(net.parameters(), 0.02)
            optimizer.step()
            optimizer.zero_grad()


def legit_gradient_norm_logged_after_the_step(trace: Tracing) -> None:
    """An infinite limit only measures."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    norms = []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            norms.append(nn.utils.clip_grad_norm_(net.parameters(), math.inf).item())


def legit_gradient_noise(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            for p in net.parameters():
                if p.grad is not None:
                    p.grad.add_(torch.randn_like(p.grad), alpha=0.01)
            optimizer.step()


def legit_amp(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for x, y in classes():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def legit_amp_clipped(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    with trace(net, optimizer, scaler):
        for x, y in classes():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def legit_amp_skips_an_overflow(trace: Tracing) -> None:
    """The scaler finds an infinite gradient, skips the step and halves the scale."""
    torch.manual_seed(0)
    batches = regression(6)
    batches[1] = (batches[1][0], batches[1][1] * float("inf"))
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for x, y in batches:
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                pred = net(x)
            loss = F.mse_loss(pred.float(), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()


def legit_amp_accumulation(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    with trace(net, optimizer, scaler):
        for i, (x, y) in enumerate(classes(8), start=1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y) / 2
            scaler.scale(loss).backward()
            if i % 2 == 0:
                scaler.unscale_(optimizer)
                nn.utils.clip_grad_norm_(net.parameters(), 0.5)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad()


def legit_autocast_without_scaler(trace: Tracing) -> None:
    """bfloat16 has float32's range, so it needs no scaler."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(x), y)
            loss.backward()
            optimizer.step()


def legit_scaler_disabled(trace: Tracing) -> None:
    """The usual switch, off: clipping needs no `unscale_` then, nor does a step."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    with trace(net, optimizer, scaler):
        for x, y in classes():
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x), y)
            scaler.scale(loss).backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.1)
            scaler.step(optimizer)
            scaler.update()


# Optimizers that are not called once per backward.


def legit_lbfgs(trace: Tracing) -> None:
    torch.manual_seed(0)
    (x, y), *_ = regression(1, size=24)
    net = mlp(1)
    optimizer = torch.optim.LBFGS(net.parameters(), lr=0.5, max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    with trace(net, optimizer):
        for _ in range(4):
            optimizer.step(closure)


def legit_lbfgs_followed(trace: Tracing) -> None:
    """The closure's lines are watched too."""
    torch.manual_seed(0)
    (x, y), *_ = regression(1, size=24)
    net = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=3, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(net(x), y)
        loss.backward()
        return loss

    with trace(net, optimizer, into=[closure]):
        for _ in range(4):
            loss = optimizer.step(closure)
            print(loss.item())


def legit_adam_closure(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():

            def closure(x: Tensor = x, y: Tensor = y) -> float:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                return loss.item()

            optimizer.step(closure)


class SAM(torch.optim.Optimizer):
    """Sharpness-aware minimisation: a climb, a second gradient there, then the step from below."""

    def __init__(self, base: torch.optim.Optimizer, rho: float = 0.05) -> None:
        self.base = base
        super().__init__(base.param_groups, {"rho": rho})
        self.param_groups = base.param_groups

    @torch.no_grad()
    def climb(self) -> None:
        gradients = [p.grad for g in self.param_groups for p in g["params"] if p.grad is not None]
        norm = torch.stack([g.norm() for g in gradients]).norm()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    self.state[p]["before"] = p.clone()
                    p.add_(p.grad, alpha=float(group["rho"] / (norm + 1e-12)))
        self.zero_grad()

    @torch.no_grad()
    def step(self, closure: object = None) -> None:  # type: ignore[override]
        for p, state in self.state.items():
            p.copy_(state["before"])
        self.base.step()
        self.zero_grad()


def legit_sam(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = SAM(torch.optim.SGD(net.parameters(), lr=0.1))
    with trace(net, optimizer):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            optimizer.climb()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_add_param_group(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    net[0].requires_grad_(False)
    with trace(net, optimizer):
        for epoch in range(3):
            if epoch == 1:
                net[0].requires_grad_(True)
                optimizer.add_param_group({"params": net[0].parameters(), "lr": 0.01})
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def legit_parameter_groups(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    decay = [p for p in net.parameters() if p.dim() > 1]
    rest = [p for p in net.parameters() if p.dim() == 1]
    groups = [{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_optimizer_before_to(trace: Tracing) -> None:
    """The parameters stay the same objects, so the optimizer still holds them."""
    torch.manual_seed(0)
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    net = net.double().to("cpu")
    with trace(net, optimizer):
        for x, y in regression():
            optimizer.zero_grad()
            F.mse_loss(net(x.double()), y.double()).backward()
            optimizer.step()


def legit_checkpoint_loaded(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    saved = copy.deepcopy(net.state_dict()), copy.deepcopy(optimizer.state_dict())
    with trace(net, optimizer):
        for epoch in range(3):
            if epoch == 1:
                net.load_state_dict(saved[0])
                optimizer.load_state_dict(saved[1])
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def legit_learning_rate_of_zero(trace: Tracing) -> None:
    """A warm-up that begins at zero: the first step moves nothing, and that is its purpose."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * i / 5
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


# Updates by hand.


def legit_manual_sgd(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    lr = 0.1
    with trace(net):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            net.zero_grad()
            loss.backward()
            with torch.no_grad():
                for p in net.parameters():
                    p -= lr * p.grad  # type: ignore[operator, misc]


def legit_manual_data(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 1)
    with trace(net):
        for x, y in regression():
            loss = ((net(x) - y) ** 2).mean()
            loss.backward()
            for p in net.parameters():
                p.data = p.data - 0.05 * p.grad.data  # type: ignore[union-attr]
                p.grad.data.zero_()  # type: ignore[union-attr]


def legit_manual_momentum(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    velocity = [torch.zeros_like(p) for p in net.parameters()]
    with trace(net):
        for x, y in classes():
            gradients = torch.autograd.grad(F.cross_entropy(net(x), y), list(net.parameters()))
            with torch.no_grad():
                for p, v, g in zip(net.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.9).add_(g)
                    p.sub_(v, alpha=0.05)


def legit_weights_written_after_the_step(trace: Tracing) -> None:
    """A norm constraint on the weights: they change on a line that is no step."""
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            with torch.no_grad():
                for p in net.parameters():
                    if p.dim() > 1:
                        p.copy_(p.renorm(2, 0, 1.0))


# Frozen parameters.


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, bias=False)
        self.bn = nn.BatchNorm2d(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        features = torch.relu(self.bn(self.conv(x))).mean(dim=(2, 3))
        out: Tensor = self.head(features)
        return out


def images(n: int = 5) -> Batches:
    torch.manual_seed(0)
    return [(torch.randn(6, 1, 6, 6), torch.randint(0, 2, (6,))) for _ in range(n)]


def legit_frozen_out_of_the_optimizer(trace: Tracing) -> None:
    torch.manual_seed(0)
    batches, net = images(), Backbone()
    for p in [*net.conv.parameters(), *net.bn.parameters()]:
        p.requires_grad = False
    net.eval()
    net.head.train()
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1, momentum=0.9)
    with trace(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_frozen_in_the_optimizer(trace: Tracing) -> None:
    """They are in the optimizer with weight decay, and stay: their gradient is None."""
    torch.manual_seed(0)
    batches, net = images(), Backbone()
    net.requires_grad_(False)
    net.head.requires_grad_(True)
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            net.train()
            net.bn.eval()
            for x, y in batches[:3]:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                print([F.cross_entropy(net(x), y).item() for x, y in batches[3:]])


def legit_batchnorm_kept_in_eval(trace: Tracing) -> None:
    """Fine-tuning with the running statistics of before: a habit of detection and segmentation."""
    torch.manual_seed(0)
    batches, net = images(), Backbone()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in batches:
            net.train()
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_frozen_features_under_no_grad(trace: Tracing) -> None:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
    head = nn.Linear(8, 3)
    features.eval()
    optimizer = torch.optim.Adam(head.parameters(), lr=0.01)
    with trace(head, features, optimizer):
        for x, y in classes():
            with torch.no_grad():
                h = features(x)
            loss = F.cross_entropy(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def legit_unfrozen_later(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for epoch in range(4):
            if epoch == 2:
                net[0].requires_grad_(True)
            for x, y in classes(2):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()


def legit_sometimes_unused_branch(trace: Tracing) -> None:
    """Half of the batches take the other branch; their gradients are None, not forgotten."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"even": nn.Linear(4, 3), "odd": nn.Linear(4, 3)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            optimizer.zero_grad()
            logits = net["odd" if i % 2 else "even"](x)
            F.cross_entropy(logits, y).backward()
            optimizer.step()


# Schedulers.


def legit_step_lr(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)
    with trace(net, optimizer):
        for _epoch in range(3):
            for x, y in classes(3):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            scheduler.step()


def legit_one_cycle(trace: Tracing) -> None:
    torch.manual_seed(0)
    batches = classes(8)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=8)
    with trace(net, optimizer):
        for x, y in batches:
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()


def legit_cosine(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.02)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    with trace(net, optimizer):
        for x, y in classes(6):
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()


def legit_lambda_warmup(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.02)
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / 4))
    with trace(net, optimizer):
        for x, y in classes(6):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()


def legit_sequential_warmup(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    warmup = lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=3)
    decay = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8)):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            if i < 3:
                warmup.step()
            else:
                decay.step()


def legit_reduce_on_plateau(trace: Tracing) -> None:
    torch.manual_seed(0)
    train, valid = regression(3), regression(2, seed=1)
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.3)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=0)
    with trace(net, optimizer):
        for _epoch in range(4):
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                F.mse_loss(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                val_loss = sum(F.mse_loss(net(x), y).item() for x, y in valid) / len(valid)
            scheduler.step(val_loss)


def legit_manual_warmup(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for step, (x, y) in enumerate(classes(6)):
            for group in optimizer.param_groups:
                group["lr"] = 0.1 * min(1.0, (step + 1) / 3)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_scheduler_with_accumulation(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(8), start=1):
            (F.cross_entropy(net(x), y) / 2).backward()
            if i % 2 == 0:
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()


# What is kept from step to step.


def legit_sum_of_items(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_list_of_items(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_list_of_detached(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_sum_of_detached(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_outputs_kept_under_no_grad(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_retained_gradient(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_truncated_bptt(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_reinforce(trace: Tracing) -> None:
    """The log-probabilities of an episode are kept, with their graph, until it ends."""
    torch.manual_seed(0)
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


def legit_ema_by_hand(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_weight_averaging(trace: Tracing) -> None:
    """`update_bn` runs the averaged net in train mode without gradients; that is its task."""
    torch.manual_seed(0)
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


# Modes and evaluation.


def legit_validation(trace: Tracing) -> None:
    torch.manual_seed(0)
    train, valid = classes(3), classes(2, seed=1)
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    best = math.inf
    with trace(net, optimizer):
        for _epoch in range(3):
            net.train()
            for x, y in train:
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
            net.eval()
            val_loss = 0.0
            with torch.no_grad():
                for x, y in valid:
                    val_loss += F.cross_entropy(net(x), y).item()
            best = min(best, val_loss)


def legit_eval_without_such_layers(trace: Tracing) -> None:
    """No layer of this net knows the two modes, so the toggling is left out."""
    torch.manual_seed(0)
    train, valid = classes(3), classes(2, seed=1)
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for _epoch in range(2):
            for x, y in train:
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            with torch.no_grad():
                print(sum(F.cross_entropy(net(x), y).item() for x, y in valid))


# Losses and layers.


def legit_log_softmax_and_nll(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.LogSoftmax(dim=1))
    criterion = nn.NLLLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            criterion(net(x), y).backward()
            optimizer.step()


def legit_log_softmax_and_cross_entropy(trace: Tracing) -> None:
    """Needless, not wrong: the log-softmax of a log-softmax is itself."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_sigmoid_and_bce(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_attention(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = Attention()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for _ in range(5):
            x, y = torch.randn(4, 5, 6), torch.randint(0, 3, (4,))
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_gates_of_sigmoid(trace: Tracing) -> None:
    """A sigmoid inside the network, and the loss with logits outside."""
    torch.manual_seed(0)
    net = nn.ModuleDict({"gate": nn.Linear(4, 8), "value": nn.Linear(4, 8), "out": nn.Linear(8, 1)})
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in regression():
            logits = net["out"](torch.sigmoid(net["gate"](x)) * net["value"](x))
            loss = F.binary_cross_entropy_with_logits(logits, (y > 0).float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def legit_mse_matching(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp(1)
    criterion = nn.MSELoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, y in regression():
            optimizer.zero_grad()
            loss = criterion(net(x).squeeze(1), y.squeeze(1))
            loss.backward()
            optimizer.step()


def legit_broadcast_on_purpose(trace: Tracing) -> None:
    """Weights of a row for every example: one side of a product broadcasts, the loss does not."""
    torch.manual_seed(0)
    net = mlp(2)
    weights = torch.tensor([1.0, 0.1])
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with trace(net, optimizer):
        for x, _ in regression():
            optimizer.zero_grad()
            loss = (weights * (net(x) - x[:, :2]) ** 2).mean()
            loss.backward()
            optimizer.step()


def legit_pairwise_distances(trace: Tracing) -> None:
    """Here all pairs are meant: a contrastive loss."""
    torch.manual_seed(0)
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


def legit_tied_weights(trace: Tracing) -> None:
    torch.manual_seed(0)
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


def legit_list_of_registered_layers(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = ListOfRegistered()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            logits, aim = net(x)
            loss = F.cross_entropy(logits, y) + F.mse_loss(logits, aim)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def legit_dead_units(trace: Tracing) -> None:
    """A gradient of zeros is a gradient: these ReLU never fire, so their layer stays."""
    torch.manual_seed(0)
    net = mlp()
    with torch.no_grad():
        for p in net[0].parameters():
            p.fill_(0.0 if p.dim() > 1 else -100.0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_input_gradient(trace: Tracing) -> None:
    """Adversarial training: a first gradient with respect to the input alone."""
    torch.manual_seed(0)
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


def legit_adversarial_with_backward(trace: Tracing) -> None:
    """The first backward is for the input; what it leaves in the weights is cleared, rightly."""
    torch.manual_seed(0)
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


def legit_compiled(trace: Tracing) -> None:
    torch.manual_seed(0)
    net = mlp()
    compiled = torch.compile(net, backend="eager")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(compiled(x), y).backward()
            optimizer.step()


def legit_compiled_traced(trace: Tracing) -> None:
    torch.manual_seed(0)
    net: nn.Module = torch.compile(mlp(), backend="eager")  # type: ignore[assignment]
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()


def legit_sparse_embedding(trace: Tracing) -> None:
    torch.manual_seed(0)
    embed = nn.Embedding(9, 3, sparse=True)
    optimizer = torch.optim.SparseAdam(list(embed.parameters()), lr=0.01)
    with trace(embed, optimizer):
        for _ in range(4):
            tokens = torch.randint(0, 9, (5,))
            optimizer.zero_grad()
            embed(tokens).pow(2).sum().backward()
            optimizer.step()
