"""The tests: `package` stands by itself, the others are of this repository."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted(path.stem for path in ROOT.glob("book/*.ipynb"))
CHAPTERS = [ROOT / f"book/{name}.ipynb" for name in NOTEBOOKS if name != "then_and_now"]
"""Those with exercises, in the order of the book: the numbered chapters, then the guide."""
NAMES = [path.stem for path in CHAPTERS]
NUMBERED = [name for name in NAMES if name[0].isdigit()]
TARGETS = set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
"""What `make` can be asked for."""
