"""Answers to the exercises of chapter 6."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 0.05": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "my_adam = lambda p, m, v, t, lr: None": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = False": "",
        },
    ),
]
