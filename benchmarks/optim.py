"""The time of one step, ours over torch's, for the same path: `make bench`.

Both optimizers hold the same numbers and take turns, call by call, so that what else the machine
does meets both alike. A round is some calls of each; its ratio is ours over torch's. Told are the
median of the ratios and their quartiles.

`memory` is what moving the bytes alone takes: the time of `torch.add(a, b, out=a)` over as many
bytes as the parameters have, measured in the same rounds, times the passes that a step must make
over three. SGD reads parameter and gradient and writes the parameter: 3 passes. With momentum it
reads and writes the buffer too: 5. Adam makes 7, with amsgrad 9.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from side_by_side import (
    about,
    head,
    line,
    middle_and_quartiles,
    milliseconds,
    refuse_unknown,
    told,
)

import companion

TABLE = Path(__file__).with_name("optim.md")
SECONDS = 4.0

NETWORKS: dict[str, Callable[[], list[torch.Size]]] = {
    "Net": lambda: shapes(companion.Net()),
    "1000 tiny tensors": lambda: [torch.Size([4])] * 1000,
    "resnet18": lambda: shapes(torchvision.models.resnet18()),
    "resnet152": lambda: shapes(torchvision.models.resnet152()),
    "vit_b_16": lambda: shapes(torchvision.models.vit_b_16()),
}


@dataclass(frozen=True)
class Rule:
    """An optimizer with options, and how many times a step must pass over the parameters' bytes."""

    label: str
    name: str
    options: dict[str, Any]
    passes: int


RULES = [
    Rule("SGD", "SGD", {}, 3),
    Rule(
        "SGD, momentum, nesterov, weight decay",
        "SGD",
        {"momentum": 0.9, "nesterov": True, "weight_decay": 5e-4},
        5,
    ),
    Rule("Adam", "Adam", {}, 7),
    Rule("Adam, amsgrad, weight decay", "Adam", {"amsgrad": True, "weight_decay": 1e-2}, 9),
    Rule("AdamW", "AdamW", {}, 7),
]


@dataclass(frozen=True)
class Row:
    """One line of the table; times are in seconds."""

    network: str
    rule: str
    path: str
    torch: float
    ours: float
    ratios: list[float]
    memory: float

    def cells(self) -> list[str]:
        """The row as text."""
        return [
            self.network,
            self.rule,
            self.path,
            milliseconds(self.torch),
            milliseconds(self.ours),
            *middle_and_quartiles(self.ratios),
            milliseconds(self.memory),
        ]


WORDS = ["network", "optimizer", "path"]
NUMBERS = ["torch, ms", "ours, ms", "ours / torch", "quartiles", "memory, ms"]


def shapes(net: torch.nn.Module) -> list[torch.Size]:
    """The shapes of a network's parameters."""
    return [p.shape for p in net.parameters()]


def twin(module: Any, rule: Rule, network: list[torch.Size], foreach: bool) -> Callable[[], Any]:
    """The bound `step` of an optimizer with parameters and gradients of its own."""
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in network]
    for p in params:
        p.grad = torch.randn_like(p)
    step: Callable[[], Any] = getattr(module, rule.name)(
        params, lr=1e-9, foreach=foreach, **rule.options
    ).step
    return step


def seconds_of(call: Callable[[], Any]) -> float:
    """One call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def race(calls: list[Callable[[], Any]], budget: float) -> Iterator[list[float]]:
    """Rounds of some calls of each in turn, in changing order: the mean time of each, per round."""
    for _ in range(3):
        once = [seconds_of(call) for call in calls]
    per_round = max(1, int(0.005 / sum(once)))
    rounds = min(201, max(15, int(budget / (per_round * sum(once)))))
    for i in range(rounds):
        sums = [0.0] * len(calls)
        for j in range(per_round):
            order = range(len(calls))
            for k in order if (i + j) % 2 else reversed(order):
                sums[k] += seconds_of(calls[k])
        yield [total / per_round for total in sums]


def read_read_write(network: list[torch.Size]) -> Callable[[], Any]:
    """A call that reads the parameters' bytes twice and writes them once."""
    size = sum(shape.numel() for shape in network)
    a, b = torch.randn(size), torch.randn(size)
    return lambda: torch.add(a, b, out=a)


def rows(networks: list[str], budget: float) -> Iterator[Row]:
    """Measure all of it."""
    for network in networks:
        sizes = NETWORKS[network]()
        three_passes = read_read_write(sizes)
        for rule in RULES:
            for path in "loop", "foreach":
                foreach = path == "foreach"
                steps = [twin(module, rule, sizes, foreach) for module in (torch.optim, companion)]
                times = list(race([*steps, three_passes], budget))
                yield Row(
                    network,
                    rule.label,
                    path,
                    statistics.median(theirs for theirs, _, _ in times),
                    statistics.median(ours for _, ours, _ in times),
                    [ours / theirs for theirs, ours, _ in times],
                    rule.passes / 3 * statistics.median(memory for _, _, memory in times),
                )


def main() -> None:
    """Print the table as it grows, then write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each row")
    parser.add_argument("--output", type=Path, default=TABLE)
    chosen = parser.parse_args()
    refuse_unknown(parser, chosen.networks, NETWORKS)

    measured = rows(chosen.networks or list(NETWORKS), chosen.seconds)
    table = told(head(WORDS, NUMBERS), (line(row.cells()) for row in measured))
    explanation = __doc__.partition("\n\n")[2].strip()
    text = ["# One step, ours over torch's", about(), explanation, table]
    chosen.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(f"\nWritten to {chosen.output.name}")


if __name__ == "__main__":
    main()
