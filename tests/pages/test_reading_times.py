"""How long a page takes to read: printed on it, at most 20 minutes, and as the index says."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from tests import CHAPTERS, ROOT

MINUTES = runpy.run_path(str(ROOT / "book/_ext/reading_time.py"))["minutes"]
TIMES = {path.stem: MINUTES(json.loads(path.read_text(encoding="utf-8"))) for path in CHAPTERS}


def test_no_chapter_takes_long() -> None:
    assert max(TIMES.values()) <= 20, TIMES


@pytest.mark.parametrize("name", TIMES)
def test_each_says_it(book: Path, name: str) -> None:
    page = (book / f"{name}.html").read_text(encoding="utf-8")
    assert f"<span>{TIMES[name]} minutes to read, without exercises and folded code</span>" in page


@pytest.mark.parametrize("page", ["book/index.md", "README.md"])
def test_the_index_says_it_too(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    (said,) = re.findall(r"(\d+) to (\d+) minutes to read", text)
    assert tuple(map(int, said)) == (min(TIMES.values()), max(TIMES.values()))
