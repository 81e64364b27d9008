"""Answers to the exercises of chapter 8."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            'answer_1 = {"every": 20}': "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "silent = lambda routine: []": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = 'self.optimizer.step()'": "",
        },
    ),
]
