"""Then and now has no exercises."""

from __future__ import annotations

from tests.chapters.answers import Answers

ANSWERS: list[Answers] = []
