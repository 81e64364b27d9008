"""The glossary: its entries, and the links that lead to them from where a term is first said."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from tests import CHAPTERS, ROOT
from tests.chapters import each_chapter
from tests.chapters.glossary import ENTRIES, GLOSSARY, slug

# Entries.


def test_entries_are_in_alphabetical_order_and_have_anchors_of_their_own() -> None:
    assert len(ENTRIES) >= 45
    assert list(ENTRIES) == sorted(ENTRIES, key=lambda term: term.lstrip(".").casefold())
    assert len({slug(term) for term in ENTRIES}) == GLOSSARY.count("\n## ")


@pytest.mark.parametrize("term", ENTRIES)
def test_entry_says_where_it_is_shown_and_is_short(term: str) -> None:
    explained, shown = ENTRIES[term].strip().split("\n\n")
    assert 20 <= len(explained.split()) <= 80
    chapters = re.findall(r"\]\((\w+\.ipynb)(?:#([\w-]+))?\)", shown)
    assert chapters
    for name, anchor in chapters:
        cells = nbformat.read(ROOT / "book" / name, as_version=4).cells
        prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert not anchor or anchor in map(slug, re.findall(r"^#+ (.+)$", prose, flags=re.M))
    assert re.search(r"\]\((https://docs\.pytorch\.org/|api\.md)", shown)
    for anchor in re.findall(r"\]\(#([\w-]+)\)", explained):
        assert anchor in map(slug, ENTRIES)


# Links from the chapters.

# How the chapters say it, where that is not the heading itself, in the singular or the plural.
FORMS = {
    "accumulate-gradient-accumulation": r"\baccumulated?\b",
    "backward-pass": r"`backward`|`loss\.backward\(\)`",
    "batch": r"\bbatch(es)?\b",
    "computational-graph": r"\bgraphs?\b",
    "detach": r"`\.?detach(\(\))?`",
    "eval-mode-and-train-mode": r"\beval mode\b",
    "gradient-clipping": r"\bclipping\b",
    "grad": r"`\.?grad`",
    "gradscaler": r"`GradScaler`",
    "in-place": r"\bin place\b(?! of)",
    "line-level-trace": r"`trace`|(?<=\bthe )trace\b",
    "logits": r"\bscores?\b",
    "nesterov-momentum": r"\bNesterov( momentum)?\b",
    "no_grad": r"`(torch\.)?no_grad(\(\))?`",
    "none-why-none": r"`None`",
    "requires_grad": r"\brequires? a gradient\b|\bfrozen\b",
    "retain_graph": r"`retain_graph=True`",
    "running-mean-running-variance": r"\brunning mean( and variance)?\b",
    "step": r"`(optimizer\.)?step(\(\))?`",
    "version-counter": r"\bcounter\b",
    "zero_grad": r"`(optimizer\.)?zero_grad(\(\))?`",
    "autocast": r"`(torch\.)?autocast`|\bautocast\b",
    "batch-normalization": r"\bBatchNorm\b|\bbatch normalization\b",
    "bfloat16-float16": r"`bfloat16`|`float16`|\bb?float16\b",
    "checkpoint": r"\bcheckpoints?\b",
    "dataparallel-distributeddataparallel": r"`(Distributed)?DataParallel`|\bDDP\b",
    "device": r"\bdevices?\b",
    "dtype": r"`dtype`|\bdtypes?\b",
    "foreach-fused": r"`(foreach|fused)(=True)?`|\bforeach\b|\bfused\b",
    "relu": r"`(nn\.)?ReLU(\(\))?`|\bReLU\b",
    "hidden-state": r"\bhidden states?\b",
    "exploding-and-vanishing-gradients": r"\bvanish(es|ing)\b",
    "create_graph": r"`create_graph=True`",
    "function-autograd-function": r"\ba Function\b",
    "gradcheck": r"`gradcheck`",
    "recomputing-activation-checkpointing": r"\brecomputing\b",
    "distributedsampler": r"`DistributedSampler`|\bsampler\b",
    "fsdp-fully-sharded-data-parallel": r"\bFSDP\b",
    "no_sync": r"`no_sync(\(\))?`",
}
LINK = re.compile(r"\[([^\]]+)\]\(glossary\.md#([\w-]+)\)")

Place = tuple[int, int, int]  # cell, first and last place in its text


def form(anchor: str) -> str:
    return FORMS.get(anchor, rf"\b{anchor.replace('-', '[ -]')}s?\b")


def prose(source: str, code: bool = False) -> str:
    """A cell's running text, every letter in its place: all else is blanked.

    Args:
        source: The cell.
        code: Whether code in a sentence is part of the text.
    """

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    fences = re.compile(r"^(```|~~~).*?^\1$", flags=re.M | re.S)
    source = fences.sub(blank, source)
    source = re.sub(r"^(#|:::|<).*$", blank, source, flags=re.M)
    source = re.sub(r"!?\[[^\]]*\]\([^)]*\)", blank, source)
    return source if code else re.sub(r"`[^`\n]+`", blank, source)


def unlinked(source: str) -> tuple[str, list[tuple[str, int, int]]]:
    """A cell without its links to the glossary, and where they were: anchor, start, end."""
    links = []
    while match := LINK.search(source):
        words, anchor = match.groups()
        source = source[: match.start()] + words + source[match.end() :]
        links.append((anchor, match.start(), match.start() + len(words)))
    return source, links


def first(anchor: str, cells: list[str]) -> Place | None:
    """Where a chapter first says it."""
    words = form(anchor)
    for number, text in enumerate(cells):
        if match := re.search(words, prose(text, code="`" in words), flags=re.I):
            return number, match.start(), match.end()
    return None


def read(path: Path) -> list[tuple[str, list[tuple[str, int, int]]]]:
    cells = nbformat.read(path, as_version=4).cells
    return [unlinked(cell.source) for cell in cells if cell.cell_type == "markdown"]


@each_chapter
def test_a_term_is_linked_where_a_chapter_first_says_it(path: Path) -> None:
    cells = read(path)
    texts = [text for text, _ in cells]
    links = [(a, (n, *place)) for n, (_, found) in enumerate(cells) for a, *place in found]
    anchors = [anchor for anchor, _ in links]
    assert 5 <= len(anchors) <= 20
    assert len(set(anchors)) == len(anchors)
    assert set(anchors) <= set(map(slug, ENTRIES))
    for anchor, place in links:
        assert place == first(anchor, texts), f"{anchor}: {links}"


def test_most_entries_are_linked_from_a_chapter() -> None:
    linked = {anchor for path in CHAPTERS for _, found in read(path) for anchor, *_ in found}
    assert len(linked) >= 40
    assert {slug(term) for term in ENTRIES} >= set(FORMS)


def test_running_text_is_told_from_code_headings_and_links() -> None:
    source = "## A norm\n\nSee [norm](x.md), `norm`, `None`.\n\n```python\nnorm\n```\n\nA norm."
    assert prose(source).split() == ["See", ",", ",", ".", "A", "norm."]
    assert prose(source, code=True).split() == ["See", ",", "`norm`,", "`None`.", "A", "norm."]
    assert len(prose(source)) == len(source)
    assert first("none-why-none", [source]) == (0, 37, 43)
    assert first("norm", [source]) == (0, len(source) - 5, len(source) - 1)
    assert unlinked("a [leaf](glossary.md#leaf) falls") == ("a leaf falls", [("leaf", 2, 6)])
