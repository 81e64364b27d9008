"""What an option's value must be, on the command line and in pyproject.toml."""

from __future__ import annotations

import argparse

from companion.diagnosis.alike import NAMES, alike

FOUND = 3  # exit code of a script that ends well, with a finding that fails it


def positive(text: str) -> int:
    """A whole number, 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, 1 or more, not {text!r}")
    return int(text)


def rules_of(text: str) -> tuple[str, ...]:
    """Names of rules, with commas between them."""
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if name not in NAMES:
            raise argparse.ArgumentTypeError(alike(name))
    if not names:
        raise argparse.ArgumentTypeError("names no rule; `companion rules` lists them")
    return names
