"""What the benchmarks share: how they tell a time and a ratio, a table, and the machine."""

from __future__ import annotations

import os
import platform
import statistics
from argparse import ArgumentParser
from collections.abc import Collection, Iterable
from datetime import date
from itertools import chain
from pathlib import Path

import torch


def milliseconds(seconds: float) -> str:
    """Three digits, or more before the point."""
    return f"{seconds * 1e3:{'.3g' if seconds < 0.1 else '.0f'}}"


def middle_and_quartiles(values: Iterable[float], form: str = ".2f") -> list[str]:
    """The median, and the quartiles: two cells."""
    low, middle, high = statistics.quantiles(values, n=4)
    return [f"{middle:{form}}", f"{low:{form}} to {high:{form}}"]


def line(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def head(words: list[str], numbers: list[str]) -> list[str]:
    """The first two lines of a Markdown table: its headings, those of numbers to the right."""
    return [line(words + numbers), line(["---"] * len(words) + ["---:"] * len(numbers))]


def told(head: list[str], body: Iterable[str]) -> str:
    """A table, printed as it grows."""
    lines = []
    for one in chain(head, body):
        print(one, flush=True)
        lines.append(one)
    return "\n".join(lines)


def refuse_unknown(parser: ArgumentParser, asked: list[str], known: Collection[str]) -> None:
    """End with an error that names the networks there are."""
    unknown = [name for name in asked if name not in known]
    if unknown:
        parser.error(f"no such network: {', '.join(unknown)}; there are {', '.join(known)}")


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def about(*others: str) -> str:
    """What a table was measured with: torch, and other packages with their versions."""
    packages = ", ".join([f"torch {torch.__version__.partition('+')[0]}", *others])
    return (
        f"Measured on {date.today():%Y-%m-%d}: {processor()}, {os.cpu_count()} cores, "
        f"{torch.get_num_threads()} threads; Python {platform.python_version()}, "
        f"{packages}. float32, on the CPU."
    )
