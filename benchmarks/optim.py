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
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
import torchvision

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
        low, middle, high = statistics.quantiles(self.ratios, n=4)
        return [
            self.network,
            self.rule,
            self.path,
            milliseconds(self.torch),
            milliseconds(self.ours),
            f"{middle:.2f}",
            f"{low:.2f} to {high:.2f}",
            milliseconds(self.memory),
        ]


HEADINGS = ["network", "optimizer", "path", "torch, ms", "ours, ms", "ours / torch", "quartiles"]
HEADINGS += ["memory, ms"]


def shapes(net: torch.nn.Module) -> list[torch.Size]:
    """The shapes of a network's parameters."""
    return [p.shape for p in net.parameters()]


def milliseconds(seconds: float) -> str:
    """Three digits."""
    return f"{seconds * 1e3:.3g}"


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


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def about() -> str:
    """What the table was measured with."""
    return (
        f"Measured on {date.today():%Y-%m-%d}: {processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"torch {torch.__version__.partition('+')[0]}. float32, on the CPU."
    )


def line(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table as it grows, then write it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each row")
    parser.add_argument("--output", type=Path, default=TABLE)
    chosen = parser.parse_args()
    unknown = set(chosen.networks) - set(NETWORKS)
    if unknown:
        parser.error(f"no such network: {', '.join(unknown)}; there are {', '.join(NETWORKS)}")

    head = [line(HEADINGS), line(["---"] * 3 + ["---:"] * 5)]
    print("\n".join(head), flush=True)
    body = []
    for row in rows(chosen.networks or list(NETWORKS), chosen.seconds):
        body.append(line(row.cells()))
        print(body[-1], flush=True)
    explanation = __doc__.partition("\n\n")[2].strip()
    text = ["# One step, ours over torch's", about(), explanation, "\n".join(head + body)]
    chosen.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(f"\nWritten to {chosen.output.name}")


if __name__ == "__main__":
    main()
