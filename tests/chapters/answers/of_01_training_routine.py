"""Answers to the exercises of chapter 1."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 89": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_2 = 1.0": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = routine": "",
        },
    ),
]
