"""The networks that are trained, the loops that train them, and the ways of watching one."""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

import companion

EVERY = 100
ENTRIES = 8


class Case:
    """What a training loop has at hand; always the same batch, and a step too small to converge."""

    def __init__(
        self,
        net: nn.Module,
        batch: tuple[Tensor, Tensor],
        criterion: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    ) -> None:
        self.net = net
        self.optimizer = torch.optim.SGD(net.parameters(), lr=1e-4)
        self.batch = batch
        self.criterion = criterion


def images(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Noise in ten classes."""
    return torch.randn(batch, 3, size, size), torch.randint(10, (batch,))


NETWORKS: dict[str, Callable[[], Case]] = {
    "Net": lambda: Case(companion.Net(), images(32, 32)),
    "resnet18": lambda: Case(torchvision.models.resnet18(num_classes=10), images(8, 64)),
}


class ManyTensors(nn.Module):
    """A network of many parameters, and all their entries as the output."""

    def __init__(self, tensors: int) -> None:
        super().__init__()
        self.tensors = nn.ParameterList(torch.randn(ENTRIES) for _ in range(tensors))

    def forward(self, _: Tensor) -> Tensor:
        """All entries of all parameters."""
        return torch.cat([*self.tensors])


def many_tensors(tensors: int) -> Case:
    """The loss is the sum of their squares."""
    nothing = torch.zeros(ENTRIES * tensors)
    return Case(ManyTensors(tensors), (nothing, nothing), squares)


def squares(outputs: Tensor, labels: Tensor) -> Tensor:
    """The sum of the squared errors."""
    return F.mse_loss(outputs, labels, reduction="sum")


# The loops. `watch` is entered where a reader writes it, in the frame of the lines it watches.

Batches = Iterator[tuple[Tensor, Tensor]]
Watch = AbstractContextManager[Any]


def plain(case: Case, batches: Batches, watch: Watch) -> Any:
    """The training routine."""
    net, optimizer, criterion = case.net, case.optimizer, case.criterion
    with watch as watched:
        for inputs, labels in batches:
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
    return watched


def sums(parameters: list[nn.Parameter]) -> tuple[list[float], list[float]]:
    """Of every gradient and of every parameter, as a reader takes them."""
    return (
        [p.grad.sum().item() for p in parameters if p.grad is not None],
        [p.sum().item() for p in parameters],
    )


def by_hand(case: Case, batches: Batches, watch: Watch) -> Any:
    """The routine, and after each line the sums."""
    net, optimizer, criterion = case.net, case.optimizer, case.criterion
    parameters = list(net.parameters())
    with watch as watched:
        for inputs, labels in batches:
            optimizer.zero_grad()
            sums(parameters)
            outputs = net(inputs)
            sums(parameters)
            loss = criterion(outputs, labels)
            sums(parameters)
            loss.backward()
            sums(parameters)
            optimizer.step()
            sums(parameters)
    return watched


def with_wandb(case: Case, batches: Batches, watch: Watch) -> Any:
    """The routine as wandb shows it: each step logs something."""
    net, optimizer, criterion = case.net, case.optimizer, case.criterion
    wandb = importlib.import_module("wandb")
    with watch as watched:
        for inputs, labels in batches:
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            optimizer.step()
            wandb.log({"loss": loss.item()})
    return watched


def with_grad_norm(case: Case, batches: Batches, watch: Watch) -> Any:
    """The routine as Lightning's documentation shows it: the norms before the step."""
    net, optimizer, criterion = case.net, case.optimizer, case.criterion
    grad_norm = importlib.import_module("lightning.pytorch.utilities").grad_norm
    with watch as watched:
        for inputs, labels in batches:
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, labels)
            loss.backward()
            grad_norm(net, norm_type=2)
            optimizer.step()
    return watched


# The ways of watching.


def nothing(_: Case) -> Watch:
    """Not watched."""
    return nullcontext()


def traced(case: Case, every: int = 1) -> Watch:
    """Ours."""
    tracing: Callable[..., Watch] = companion.trace
    return tracing(case.net, case.optimizer, every=every)


def guarded(case: Case) -> Watch:
    """Ours, when the one step that is watched is over: the first, which does not count."""
    tracing: Callable[..., Watch] = companion.trace
    return tracing(case.net, case.optimizer, steps=1)


@contextmanager
def wandb_watch(case: Case, **options: Any) -> Iterator[None]:
    """Weights & Biases' hooks, under the same names each time."""
    run = wandb_run()
    run.watch(case.net, idx=0, **options)
    try:
        yield
    finally:
        run.unwatch(case.net)


@cache
def wandb_run() -> Any:
    """The one run of this process."""
    wandb = importlib.import_module("wandb")
    return wandb.init(project="benchmark", settings=wandb.Settings(x_disable_stats=True))


@contextmanager
def temporary_wandb() -> Iterator[None]:
    """All that wandb writes goes to a folder that is removed, and nothing leaves the machine."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for what in "DIR", "CACHE_DIR", "CONFIG_DIR", "DATA_DIR", "ARTIFACT_DIR":
            os.environ[f"WANDB_{what}"] = folder
        os.environ |= {
            "WANDB_MODE": "offline",
            "WANDB_SILENT": "true",
            "WANDB_CONSOLE": "off",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_BASE_URL": "http://127.0.0.1:9",  # should it ask all the same: nobody there
            "WANDB_DISABLE_CODE": "true",
            "WANDB_DISABLE_GIT": "true",
        }
        try:
            yield
        finally:
            if wandb_run.cache_info().currsize:
                wandb_run().finish()
                importlib.import_module("wandb").teardown()


@dataclass(frozen=True)
class Way:
    """A way of watching: what is entered, and the loop within."""

    label: str
    watch: Callable[[Case], Watch]
    loop: Callable[[Case, Batches, Watch], Any] = plain
    package: str | None = None
    steps: int | None = None

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return self.package is None or find_spec(self.package) is not None


BARE = Way("bare", nothing)
TRACED = Way("trace, every line", traced)
WAYS = [
    TRACED,
    Way(f"trace, every={EVERY}", lambda case: traced(case, EVERY), steps=EVERY),
    Way("trace, after its steps: the guard", guarded, steps=EVERY),
    Way("sums by hand", nothing, by_hand),
    Way(
        'wandb.watch, log="all", log_freq=1',
        lambda case: wandb_watch(case, log="all", log_freq=1),
        with_wandb,
        "wandb",
    ),
    Way("wandb.watch, defaults", wandb_watch, with_wandb, "wandb"),
    Way("Lightning's grad_norm", nothing, with_grad_norm, "lightning"),
]
