"""The tests: `package` stands by itself, the others are of this repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/[0-9][0-9]_*.ipynb"))
NAMES = [path.stem for path in CHAPTERS]
TARGETS = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
"""What `make` can be asked for."""
