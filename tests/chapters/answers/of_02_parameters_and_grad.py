"""Answers to the exercises of chapter 2."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 0": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_2 = [1.0, 2.0, 3.0]": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = nn.Linear(1, 1)": "",
        },
    ),
]
