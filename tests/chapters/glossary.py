"""The glossary, read: its entries, and their anchors."""

from __future__ import annotations

import re

from tests import ROOT

GLOSSARY = (ROOT / "book/glossary.md").read_text(encoding="utf-8")


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def sections(text: str) -> dict[str, str]:
    """Heading → what stands below it."""
    return dict(re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S))


ENTRIES = sections(GLOSSARY)
