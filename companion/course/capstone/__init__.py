"""The last exercise of chapter 6: a reader's own SGD is run on PyTorch's own cases.

From simple to complex: `cases` (PyTorch's, as data), `playing` (a class of optimizer on one of
them), `mistakes` (SGD with one thing wrong, to compare with), `judging` (what is wrong, in words).
"""

from companion.course.capstone.judging import judge

__all__ = ["judge"]
