"""The page of the rules: what stands there is what comes out when its loops run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from docutils.nodes import make_id

from companion.command.explaining.explain import EVERY
from companion.records.version import titled
from tests import ROOT
from tests.chapters.outputs import Output
from tests.package.running import forks

PAGE = (ROOT / "book/rules.md").read_text(encoding="utf-8")
CODE = f"import runpy; print(runpy.run_path({str(ROOT / 'tools/rules.py')!r})['page'](), end='')"


def test_the_page_is_what_the_tool_writes(tmp_path: Path) -> None:
    assert Output(PAGE) == forks().run(tmp_path, CODE, how="code").well().out


def test_every_rule_has_a_section() -> None:
    headings = re.findall(r"^### `([\w-]+)`$", PAGE, re.M)
    assert sorted(headings) == sorted(rule.name for rule in EVERY)
    assert all(make_id(name) == name for name in headings)


def test_every_finding_leads_to_the_page_or_to_a_chapter() -> None:
    """That those into chapters lead to a section is tested there."""
    for rule in EVERY:
        page, _, section = rule.section.partition("#")
        assert page == "rules.html" or page[:2].isdigit(), rule.name
        assert page != "rules.html" or section == rule.name


@pytest.mark.parametrize("section", sorted({rule.section for rule in EVERY}))
def test_the_titles_are_those_of_the_course(section: str) -> None:
    """Those by which `companion explain` names a section where no address is known."""
    stem = section.partition(".html")[0]
    file = next((ROOT / "book").glob(f"{stem}.*"))
    text = file.read_text(encoding="utf-8")
    lines = text.splitlines()
    if file.suffix == ".ipynb":
        cells = json.loads(text)["cells"]
        lines = [line.rstrip("\n") for cell in cells for line in cell["source"]]
    headings = {line.lstrip("# ").replace("`", "") for line in lines if line.startswith("#")}
    title, under = re.findall(r'"(.*?)"', titled(section))
    assert {title, under} <= headings
