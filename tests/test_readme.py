"""The README's code runs and prints what the README says; its picture and commands are real."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

from tests.outputs import Output

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


def test_example_prints_what_is_shown(tmp_path: Path) -> None:
    (code,), (shown,) = blocks("python"), blocks("text")
    (tmp_path / "example.py").write_text(code)
    printed = subprocess.run(
        [sys.executable, "example.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert Output(shown.strip()) == printed.strip()


def test_picture_is_the_one_that_chapter_3_computed() -> None:
    picture = runpy.run_path(str(ROOT / "book/_tools/picture.py"))
    assert picture["PICTURE"].read_text(encoding="utf-8") == picture["picture"]()


def test_links_into_the_project_resolve() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    local = [link for link in links if not link.startswith("http")]
    assert len(local) >= 6
    for link in local:
        assert (ROOT / link).exists(), link


def test_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"(?:^|`)make ([a-z]+)", README, flags=re.M))
    assert {"book", "test", "notebooks", "bench", "serve"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:", makefile, flags=re.M), command


def test_every_public_name_is_mentioned() -> None:
    for name in (
        "trace",
        "gradient_sums",
        "parameter_sums",
        "SGD",
        "Adam",
        "AdamW",
        "Net",
        "digits",
        "cifar10",
    ):
        assert f"`{name}" in README, name
