"""A small training library, as an installed one is: the loop stands in it, not in the script."""

from __future__ import annotations

from pathlib import Path

from tests.package.command.running import SETUP
from tests.package.running import write

TINY = '''\
import torch
from torch import nn


class Stepper:
    """What wraps several optimizers, and goes through them."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def zero_grad(self):
        for one in self.optimizers:
            one.zero_grad()

    def step(self):
        for one in self.optimizers:
            one.step()


class OwnOptimizer:
    """No optimizer of torch's."""

    def __init__(self, parameters, lr):
        self.parameters, self.lr = list(parameters), lr

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None

    def step(self):
        with torch.no_grad():
            for p in self.parameters:
                p -= self.lr * p.grad


class Trainer:
    def __init__(self, net, optimizer, scheduler=None, *, clears=True, clip=None, every=1,
                 closure=False, tests=False, late=False):
        self.net, self.optimizer, self.scheduler = net, optimizer, scheduler
        self.clears, self.clip, self.every = clears, clip, every
        self.closure, self.tests, self.late = closure, tests, late

    def compute_loss(self, x, y):
        return nn.functional.mse_loss(self.net(x), y)

    def training_step(self, x, y):
        loss = self.compute_loss(x, y) / self.every
        if self.late:  # clears between the loss and its backward, as Lightning does
            self.optimizer.zero_grad()
        loss.backward()
        return loss

    def fit(self, batches):
        self.run(batches)

    def run(self, batches):
        for number, (x, y) in enumerate(batches, 1):
            if self.closure:
                self.optimizer.step(lambda: self.closed(x, y))
            else:
                self.training_step(x, y)
                if number % self.every:
                    continue
                if self.clip is not None:
                    nn.utils.clip_grad_norm_(self.net.parameters(), self.clip)
                self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()
            if self.clears and not self.closure:
                self.optimizer.zero_grad()
            if self.tests:
                self.test(batches)

    def closed(self, x, y):
        loss = self.compute_loss(x, y)
        self.optimizer.zero_grad()
        loss.backward()
        return loss

    def test(self, batches):
        self.net.eval()
        with torch.no_grad():
            for x, y in batches:
                self.compute_loss(x, y)
        self.net.train()


class Through(Trainer):
    """Calls its network's own `loss`, by way of a wrapper's call, as Lightning does with DDP."""

    def __init__(self, net, optimizer, wrapper):
        super().__init__(net, optimizer)
        self.wrapper = wrapper

    def compute_loss(self, x, y):
        real = self.net.forward

        def forward(*given):
            self.net.forward = real
            return self.net.loss(*given)

        self.net.forward = forward
        return self.wrapper(x, y)


def patch(net):
    """Stands around a network's forward from now on, as Accelerate does for mixed precision."""
    real = net.forward
    net.forward = lambda *given: real(*given)
'''

HEAD = (
    "import os, sys\n"
    "here = os.path.dirname(os.path.abspath(__file__))\n"
    "sys.path.insert(0, os.path.join(here, 'site-packages'))\n"
    f"{SETUP}"
    "from tiny.trainer import OwnOptimizer, Stepper, Through, Trainer, patch\n"
    "batches = [(torch.randn(4, 4), torch.randn(4, 1)) for _ in range(8)]\n"
)


def script(folder: Path, body: str) -> list[str]:
    """Write a script that uses the library, and the library; the script's lines."""
    (folder / "site-packages" / "tiny").mkdir(parents=True, exist_ok=True)
    write(folder, "", "site-packages/tiny/__init__.py")
    write(folder, TINY, "site-packages/tiny/trainer.py")
    write(folder, HEAD + body, "script.py")
    return (HEAD + body).splitlines()
