"""Answers to the exercises, a file for each chapter: right ones and wrong ones.

Where a chapter is executed (`tests/chapters/execution.py`) they are given in its kernel, after its
last cell, one after the other; the check of the exercise is run after each.
"""

from importlib import import_module
from typing import NamedTuple


class Answers(NamedTuple):
    """What is tried for one exercise, as code, beside the solution that the chapter gives.

    Attributes:
        right: Answers of another shape than the solution; at least two.
        wrong: An answer → how its hint begins, after "not yet: "; at least three, none like
            another.
    """

    right: list[str]
    wrong: dict[str, str]


def answers(chapter: str) -> list[Answers]:
    """Of each exercise of a chapter, in order."""
    found: list[Answers] = import_module(f"tests.chapters.answers.of_{chapter}").ANSWERS
    return found
