"""The tests: `package` stands by itself, the others are of this repository."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
