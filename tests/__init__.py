"""The tests: `package` stands by itself, the others are of this repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHAPTERS = sorted(ROOT.glob("book/*.ipynb"))
"""The notebooks, in the order of the book: the numbered chapters, then the guide."""
NAMES = [path.stem for path in CHAPTERS]
NUMBERED = [name for name in NAMES if name[0].isdigit()]
TARGETS = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
"""What `make` can be asked for."""
