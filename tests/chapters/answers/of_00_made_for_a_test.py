"""Answers to the exercise of the notebook that `test_notebooks.py` makes."""

from tests.chapters.answers import Answers

ANSWERS = [Answers(right=["answer_1 = 90"], wrong={"answer_1 = 89": "count"})]
