"""Answers to the exercises of chapter 4."""

from tests.chapters.answers import Answers

ANSWERS = [
    Answers(
        right=[],
        wrong={
            "answer_1 = 10": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "my_step = lambda net, lr: optim.SGD(net.parameters(), lr=0.1).step()": "",
        },
    ),
    Answers(
        right=[],
        wrong={
            "answer_3 = True": "",
        },
    ),
]
