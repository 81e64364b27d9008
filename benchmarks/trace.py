"""What it costs to watch a training step: `make bench-trace`.

The loop is written as a reader writes it, its five lines each on a line of its own. It runs in
blocks that take turns in one run: a bare one, a watched one, the next bare one, the next way of
watching. Every watched block is compared with the bare block beside it; the ratio is watched over
bare, of the mean time of a step. Told are the median of the ratios and their quartiles.

A trace is made anew for each block, so that its records start empty. `once` is what a block takes
besides its steps: to begin watching, to stop, and what the first step takes beyond a usual one,
less the same of the bare block. The mean is over the steps after the first; for `every=100` there
are 100 of these, of which one is watched.

- Net learns from 32×3×32×32 numbers, resnet18 from 8×3×64×64, both with 10 classes and SGD.
- By hand: after each of the five lines, `.sum().item()` of every gradient and of every parameter.
- wandb writes offline into a temporary folder, its system monitor is off, and every step calls
  `wandb.log` with the loss. `log="all", log_freq=1` logs gradients and parameters of every step.
  The defaults are `log="gradients", log_freq=1000`; told of them is a step of the other 999.
- Lightning's `grad_norm(net, norm_type=2)` is called before `optimizer.step()`.

wandb and lightning are no dependencies of this project; where one is missing, the table says so.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import inspect
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torchvision
from parts import parts_rows
from side_by_side import (
    about,
    head,
    line,
    middle_and_quartiles,
    milliseconds,
    refuse_unknown,
    told,
)
from torch import Tensor
from ways import (
    BARE,
    ENTRIES,
    NETWORKS,
    TRACED,
    WAYS,
    Batches,
    Case,
    Way,
    many_tensors,
    temporary_wandb,
)

import companion

TABLE = Path(__file__).with_name("trace.md")
ROUNDS = 21
STEPS = 20
TENSORS = [10, 100, 1000, 10_000]
PAUSE = 0.05  # seconds between blocks, for what a block leaves to other processes


# Measuring.


@dataclass(frozen=True)
class Block:
    """Seconds: of a mean step, and of the block besides its steps."""

    step: float
    once: float


def ticking(batch: tuple[Tensor, Tensor], steps: int, ticks: list[float]) -> Batches:
    """The batch again and again, noting when each is asked for; the last time in vain."""
    for _ in range(steps):
        ticks.append(time.perf_counter())
        yield batch
    ticks.append(time.perf_counter())


def block(case: Case, way: Way, steps: int) -> Block:
    """Run one: a first step, and those that count."""
    gc.collect()
    time.sleep(PAUSE)
    ticks: list[float] = []
    batches = ticking(case.batch, 1 + steps, ticks)
    began = time.perf_counter()
    watched = way.loop(case, batches, way.watch(case))
    ended = time.perf_counter()
    if isinstance(watched, companion.Trace) and not watched.records:
        raise RuntimeError("the trace saw no line, so this measures nothing")
    steady = [after - before for before, after in pairwise(ticks[1:])]
    usual = statistics.median(steady)
    return Block(statistics.mean(steady), ended - began - sum(steady) - usual)


@dataclass(frozen=True)
class Pair:
    """A bare block and a watched one beside it."""

    bare: Block
    watched: Block

    @property
    def ratio(self) -> float:
        """Watched over bare."""
        return self.watched.step / self.bare.step

    @property
    def more(self) -> float:
        """What a step takes more, in seconds."""
        return self.watched.step - self.bare.step


def race(case: Case, ways: list[Way], rounds: int, steps: int) -> list[list[Pair]]:
    """Bare and watched blocks in turns, in changing order; for each way its pairs."""
    for way in BARE, *ways:
        block(case, way, steps)
    pairs: list[list[Pair]] = [[] for _ in ways]
    for i in range(rounds):
        for way, found in zip(ways, pairs, strict=True):
            order = [BARE, way] if i % 2 else [way, BARE]
            blocks = {one: block(case, one, way.steps or steps) for one in order}
            found.append(Pair(blocks[BARE], blocks[way]))
    return pairs


# The tables.

WORDS = ["network", "watched by"]
NUMBERS = ["bare step, ms", "watched, ms", "watched / bare", "quartiles", "once, ms"]
MANY = f"""## More and more tensors

The trace of every line, in the same way, for a network of parameters of {ENTRIES} entries each. Its
output is all of them, its loss the sum of their squares. A tensor here is a parameter together with
its gradient."""
MANY_NUMBERS = ["tensors", "bare step, ms", "traced, ms", "more, µs a step", "more, µs a tensor"]
MANY_NUMBERS += ["quartiles"]


WHERE = """## Where the time goes

Of Net, the trace of every line: microseconds a step that are each part's own, by the clock that is
put around its function, which takes a few itself. What Python takes to tell of lines and calls,
and calls that mean nothing, stands in no part."""


def network_rows(networks: list[str], rounds: int, steps: int) -> Iterator[list[str]]:
    """Every network in every way."""
    for network in networks:
        ways = [way for way in WAYS if way.installed]
        torch.manual_seed(0)
        found = dict(zip(ways, race(NETWORKS[network](), ways, rounds, steps), strict=True))
        for way in WAYS:
            if way in found:
                yield [network, way.label, *cells(found[way])]
            else:
                yield [network, way.label, "not installed", *[""] * (len(NUMBERS) - 1)]


def cells(pairs: list[Pair]) -> list[str]:
    """The numbers of a row."""
    return [
        milliseconds(statistics.median(pair.bare.step for pair in pairs)),
        milliseconds(statistics.median(pair.watched.step for pair in pairs)),
        *middle_and_quartiles(pair.ratio for pair in pairs),
        milliseconds(statistics.median(pair.watched.once - pair.bare.once for pair in pairs)),
    ]


def many_rows(tensors: list[int], rounds: int, steps: int) -> Iterator[list[str]]:
    """Networks of more and more tensors."""
    for number in tensors:
        torch.manual_seed(0)
        (pairs,) = race(many_tensors(number), [TRACED], rounds, max(3, steps * 100 // number))
        yield [
            str(number),
            milliseconds(statistics.median(pair.bare.step for pair in pairs)),
            milliseconds(statistics.median(pair.watched.step for pair in pairs)),
            f"{statistics.median(pair.more for pair in pairs) * 1e6:.0f}",
            *middle_and_quartiles((pair.more * 1e6 / number for pair in pairs), ".3g"),
        ]


def versions() -> list[str]:
    """Of the packages that watched."""
    names = dict.fromkeys(way.package for way in WAYS if way.package and way.installed)
    return [f"{name} {release(importlib.import_module(name))}" for name in names]


def release(package: Any) -> str:
    """Its version, without the build."""
    return str(package.__version__).partition("+")[0]


def main() -> None:
    """Print the tables as they grow, then write them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("networks", nargs="*", help=f"of {', '.join(NETWORKS)}; all by default")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of blocks for each row")
    parser.add_argument("--steps", type=int, default=STEPS, help="of a block")
    parser.add_argument("--tensors", type=int, nargs="+", default=TENSORS)
    parser.add_argument("--output", type=Path, default=TABLE)
    chosen = parser.parse_args()
    refuse_unknown(parser, chosen.networks, NETWORKS)
    if chosen.rounds < 3:
        parser.error("quartiles need 3 rounds or more")
    if "every" not in inspect.signature(companion.trace).parameters:
        parser.error("this companion.trace takes no every=..., which is to be measured")

    explanation = __doc__.partition("\n\n")[2].strip()
    with temporary_wandb():
        machine = about(f"torchvision {release(torchvision)}", *versions())
        measured = network_rows(chosen.networks or list(NETWORKS), chosen.rounds, chosen.steps)
        first = told(head(WORDS, NUMBERS), map(line, measured))
        print()
        measured = many_rows(chosen.tensors, chosen.rounds, chosen.steps)
        second = told(head([], MANY_NUMBERS), map(line, measured))
        print()
        measured = parts_rows(NETWORKS["Net"](), chosen.rounds, chosen.steps)
        third = told(head(["part"], ["µs a step"]), map(line, measured))
    text = ["# One step, watched over bare", machine, explanation, first]
    text += [MANY, second, WHERE, third]
    chosen.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(f"\nWritten to {chosen.output.name}")


if __name__ == "__main__":
    main()
