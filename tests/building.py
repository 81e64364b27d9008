"""How the tests build the book: as `make book` does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build(source: Path, target: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Build `source` into `target`/_build/html, with these environment variables set."""
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(source)]
    options = ["--config", str(ROOT / "_config.yml"), "--path-output", str(target)]
    return subprocess.run(
        [*command, *options, "-W", "-n", "--keep-going", "-q"],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
