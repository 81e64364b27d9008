"""Answers to the exercises of chapter 5."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 0.1": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_2 = 0.5": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "my_step = lambda p, buffer, lr, momentum: None": "",
        },
    ),
]
