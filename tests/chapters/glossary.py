"""The glossary, read: its entries, their anchors, and what its sentences are tried on."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests import ROOT

GLOSSARY = (ROOT / "book/glossary.md").read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def sections(text: str) -> dict[str, str]:
    """Heading → what stands below it."""
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S))


ENTRIES = sections(GLOSSARY)

told: set[str] = set()  # the entries whose sentences are asserted below
Test = Callable[..., None]


def of(*terms: str) -> Callable[[Test], Test]:
    """The entries of the glossary that a test is about."""

    def note(test: Test) -> Test:
        told.update(terms)
        return test

    return note


def problem() -> tuple[Any, Tensor, Tensor]:
    """A network and one batch of six."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return net, torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def loss_of(net: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    loss: Tensor = nn.CrossEntropyLoss()(net(inputs), labels)
    return loss


def grads(net: nn.Module) -> list[Tensor]:
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def values(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))
