"""Nothing to blame: clipping calls that find nothing, or that come before another backward."""

from itertools import chain

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_step_first(trace: Tracing) -> None:
    """The loop is turned round: each step belongs to the batch before. The first finds nothing."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()


def sound_step_first_if_any(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes(9)):
            if i % 3 == 0:
                norm = clip_grad_norm_(net.parameters(), 0.1)
                if norm > 0:
                    optimizer.step()
                    optimizer.zero_grad()
            (F.cross_entropy(net(x), y) / 3).backward()


def sound_clipped_by_hand(trace: Tracing) -> None:
    """Its own update; the clipping is in its place, and an optimizer is made for later."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            clip_grad_norm_(net.parameters(), 0.1)
            with torch.no_grad():
                for p in net.parameters():
                    if p.grad is not None:
                        p.sub_(0.1 * p.grad)
                        p.grad = None


def sound_measured_before(trace: Tracing) -> None:
    """An infinite limit as a meter, of what each of two losses adds."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    norms = []
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            norms.append(clip_grad_norm_(net.parameters(), float("inf")).item())
            F.cross_entropy(net(x), y).backward()
            norms.append(clip_grad_norm_(net.parameters(), float("inf")).item())
            (0.01 * torch.stack([p.square().sum() for p in net.parameters()]).sum()).backward()
            norms.append(clip_grad_norm_(net.parameters(), float("inf")).item())
            optimizer.step()


def sound_first_loss_clipped(trace: Tracing) -> None:
    """Only the noisy one of two losses is clipped."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            clip_grad_norm_(net.parameters(), 0.05)
            F.mse_loss(net(x + 0.1), net(x).detach()).backward()
            optimizer.step()


def sound_clipped_and_measured(trace: Tracing) -> None:
    """Clipped in its place; a second call after the step only tells what was left."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            clip_grad_norm_(net.parameters(), 0.1)
            optimizer.step()
            assert clip_grad_norm_(net.parameters(), 0.2) < 0.2


def sound_skipped_steps(trace: Tracing) -> None:
    """A step is skipped where the norm is too large; the next batch starts anew."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for i, (x, y) in enumerate(classes()):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            clip_grad_norm_(net.parameters(), 0.5)
            if i % 2:
                optimizer.step()


def sound_skipped_by_the_scaler(trace: Tracing) -> None:
    batches = regression(6)
    batches[1] = (batches[1][0], batches[1][1] * float("inf"))
    net = mlp(1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8)
    with trace(net, optimizer, scaler):
        for x, y in batches:
            scaler.scale(F.mse_loss(net(x), y)).backward()
            scaler.unscale_(optimizer)
            clip_grad_norm_(net.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()


def sound_two_networks_clipped_together(trace: Tracing) -> None:
    """One call for both networks, though only one has a gradient at that time."""
    gen, disc = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
    opt_g, opt_d = torch.optim.Adam(gen.parameters()), torch.optim.Adam(disc.parameters())
    with trace(gen, disc, opt_g, opt_d):
        for _ in range(4):
            opt_d.zero_grad()
            opt_g.zero_grad()
            fake = gen(torch.randn(4, 2))
            (
                F.softplus(disc(fake.detach())) + F.softplus(-disc(torch.randn(4, 3)))
            ).mean().backward()
            clip_grad_norm_(chain(gen.parameters(), disc.parameters()), 1.0)
            opt_d.step()
            opt_d.zero_grad()
            F.softplus(-disc(fake)).mean().backward()
            clip_grad_norm_([*gen.parameters(), *disc.parameters()], 1.0)
            opt_g.step()


def sound_each_network_in_turn(trace: Tracing) -> None:
    """Only the critic is clipped, before the generator's backward, which is never clipped."""
    gen, critic = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 1))
    opt_g, opt_c = torch.optim.Adam(gen.parameters()), torch.optim.Adam(critic.parameters())
    with trace(gen, critic, opt_g, opt_c):
        for _ in range(4):
            opt_c.zero_grad()
            (critic(gen(torch.randn(4, 2)).detach()) - critic(torch.randn(4, 3))).mean().backward()
            clip_grad_norm_(critic.parameters(), 0.1)
            opt_c.step()
            opt_g.zero_grad()
            (-critic(gen(torch.randn(4, 2)))).mean().backward()
            opt_g.step()


def sound_each_example_clipped(trace: Tracing) -> None:
    """Differential privacy by hand: every example's gradient is clipped, then they are added."""
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes(3, size=3):
            total = [torch.zeros_like(p) for p in net.parameters()]
            for one, label in zip(x, y, strict=True):
                optimizer.zero_grad()
                F.cross_entropy(net(one[None]), label[None]).backward()
                clip_grad_norm_(net.parameters(), 0.1)
                for t, p in zip(total, net.parameters(), strict=True):
                    if p.grad is not None:
                        t += p.grad
            for t, p in zip(total, net.parameters(), strict=True):
                p.grad = (t + 0.01 * torch.randn_like(t)) / len(x)
            optimizer.step()


def sound_gradients_that_fade(trace: Tracing) -> None:
    """Momentum by hand, in the gradients: they are limited, shrunk and never cleared."""
    net = mlp()
    with trace(net):
        for x, y in classes():
            F.cross_entropy(net(x), y).backward()
            with torch.no_grad():
                for p in net.parameters():
                    if p.grad is not None:
                        p.sub_(0.1 * p.grad)
                        p.grad *= 0.5


def sound_closure_clipped(trace: Tracing) -> None:
    net = mlp(1)
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=4)
    with trace(net, optimizer):
        for x, y in regression(3):

            def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
                optimizer.zero_grad()
                loss = F.mse_loss(net(x), y)
                loss.backward()
                clip_grad_value_(net.parameters(), 1.0)
                return loss

            optimizer.step(closure)


def sound_part_clipped(trace: Tracing) -> None:
    """A frozen body is among what is clipped; the head has its gradient by then."""
    net = mlp()
    net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(net[2].parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            clip_grad_norm_(net[0].parameters(), 1.0)
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            clip_grad_norm_((p for p in net.parameters() if p.requires_grad), 0.1)
            optimizer.step()
