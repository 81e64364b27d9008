"""Answers to the exercises of chapter 7."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 4": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "my_epoch = lambda net, optimizer, batches: 0.0": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = True": "",
        },
    ),
]
