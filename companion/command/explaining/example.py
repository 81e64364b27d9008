"""What an example is: a script with one mistake in it, and what repairs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# Every example begins so; what it makes anew comes after it.
SETUP = """\
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
criterion = nn.CrossEntropyLoss()
batches = [(torch.randn(8, 4), torch.randint(3, (8,))) for _ in range(6)]

"""


@dataclass(frozen=True)
class Example:
    """A script with a mistake, and its repaired twin.

    Attributes:
        broken: The script, without `SETUP`; the line to blame ends with `# <-`.
        repairs: What is to be written in place of what, to repair it.
        setup: What it begins with.
        further: Other mistakes that the same rule finds, where they matter for another reason.
    """

    broken: str
    repairs: Mapping[str, str] = field(default_factory=dict)
    setup: str = SETUP
    further: tuple[Example, ...] = ()

    def script(self, *, repaired: bool = False) -> str:
        """The whole script."""
        text = self.broken
        if repaired:
            for old, new in self.repairs.items():
                text = text.replace(old, new)
        return self.setup + text.replace("  # <-", "")

    @property
    def line(self) -> int:
        """Number of the line to blame, counted from 1."""
        above = (self.setup + self.broken).partition("  # <-")[0]
        return above.count("\n") + 1
