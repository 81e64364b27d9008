"""A loop and its parts; and every test leaves the process as it was."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import optimizer as optimizers

from tests.package.tracing.watching import Loop, tools


@pytest.fixture
def loop() -> Loop:
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    return Loop(
        net=net,
        optimizer=torch.optim.SGD(net.parameters(), lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        inputs=torch.randn(8, 3),
        labels=torch.randint(2, (8,)),
    )


@pytest.fixture
def net() -> Any:
    return nn.Linear(3, 2)


@pytest.fixture
def sgd(net: Any) -> torch.optim.SGD:
    return torch.optim.SGD(net.parameters(), lr=0.1)


@pytest.fixture(autouse=True)
def nothing_is_left_behind(source: str) -> Iterator[None]:
    """Whichever source it was."""
    before, hooks = sys.gettrace(), len(optimizers._global_optimizer_post_hooks)
    yield
    assert sys.gettrace() is before
    assert not tools()
    assert len(optimizers._global_optimizer_post_hooks) == hooks
