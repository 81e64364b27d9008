"""Write the README's picture: the annotated loop that its own command prints.

Part of `make notebooks`. The README's first Python block is run with `python -m companion`; the
table of what it prints becomes an SVG. Only code, names and numbers stand in it, no prose.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path

from companion.course.style import PALETTE

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "book" / "_static" / "loop.svg"
SCRIPT = "train.py"

CHARACTER, LINE, MARGIN = 7.8, 20, 14  # pixels, of a monospace font at 13 pixels


def script() -> str:
    """The script that the README shows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found: list[str] = re.findall(r"^```python\n(.*?)^```$", readme, flags=re.M | re.S)
    return found[0]


def report() -> str:
    """What `python -m companion train.py` says about it."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / SCRIPT).write_text(script(), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "companion", SCRIPT],
            cwd=folder,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": ""},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
    return done.stderr


def picture(report: str) -> str:
    """The table of the report, up to the first empty line, as SVG text."""
    lines = report.split("\n\n")[0].splitlines()[2:]
    width = round(2 * MARGIN + CHARACTER * max(map(len, lines)))
    height = 2 * MARGIN + LINE * len(lines)
    rows = [_row(i, line) for i, line in enumerate(lines)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" font-family="ui-monospace, SFMono-Regular, '
            'Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="13">',
            f'<rect width="{width}" height="{height}" rx="6" fill="{PALETTE["paper"]}" '
            f'stroke="{PALETTE["rule"]}"/>',
            *rows,
            "</svg>\n",
        ]
    )


def _row(i: int, line: str) -> str:
    """One line: the head is muted, what a rule objects to is framed."""
    y = MARGIN + LINE * i
    colour = PALETTE["muted"] if i == 0 else PALETTE["ink"]
    text = (
        f'<text x="{MARGIN}" y="{y + 14}" fill="{colour}" xml:space="preserve" '
        f'textLength="{round(CHARACTER * len(line))}">{escape(line, quote=False)}</text>'
    )
    if "^ " not in line:
        return text
    start = MARGIN + CHARACTER * line.index("^ ") - 4
    wide = CHARACTER * (len(line) - line.index("^ ")) + 8
    frame = (
        f'<rect x="{start:.0f}" y="{y}" width="{wide:.0f}" height="{LINE - 2}" rx="3" '
        f'fill="{PALETTE["changed"]}" stroke="{PALETTE["frame"]}"/>'
    )
    return f"{frame}\n{text}"


if __name__ == "__main__":
    PICTURE.write_text(picture(report()), encoding="utf-8")
    print(f"{PICTURE.relative_to(ROOT)} written")
