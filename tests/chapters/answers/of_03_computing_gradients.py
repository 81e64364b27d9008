"""Answers to the exercises of chapter 3."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 1": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_2 = 0.0": "",
        },
    ),
]
