"""Nothing to blame: several losses, several backward calls."""

import torch
import torch.nn.functional as F
from torch import nn

from tests.package.loops import Tracing
from tests.package.loops.parts import classes, mlp, regression


def sound_several_losses_one_backward(trace: Tracing) -> None:
    """A total of losses is a graph on purpose: it is made anew in every step."""
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


def sound_several_backwards_one_step(trace: Tracing) -> None:
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


def sound_list_of_losses(trace: Tracing) -> None:
    """An unrolled sequence: the losses of its steps, one backward."""
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


def sound_regularisation_by_hand(trace: Tracing) -> None:
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


def sound_one_backward_two_optimizers(trace: Tracing) -> None:
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


def sound_gradients_by_autograd_grad(trace: Tracing) -> None:
    net = mlp()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with trace(net, optimizer):
        for x, y in classes():
            loss = F.cross_entropy(net(x), y)
            gradients = torch.autograd.grad(loss, list(net.parameters()))
            for p, g in zip(net.parameters(), gradients, strict=True):
                p.grad = g
            optimizer.step()


def sound_gradient_penalty(trace: Tracing) -> None:
    """WGAN-GP's critic: a gradient of a gradient, `create_graph=True`."""
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


def sound_non_finite_batch_skipped(trace: Tracing) -> None:
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


def sound_non_finite_norm_skipped(trace: Tracing) -> None:
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
