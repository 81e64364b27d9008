"""The search finds *Between backward and step*, as test_search.py does for the other pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.pages import test_search

CHAPTER = "09_between_backward_and_step.html"
FOUND = {
    "unequal batches": f"{CHAPTER}#unequal-batches",
    "leftover batches": f"{CHAPTER}#leftover-batches",
    "accumulation batchnorm": CHAPTER,
    "sum or mean": "07_adam.html#mean-or-sum",
    "how much to clip": f"{CHAPTER}#clipping-how-much",
    "max_norm": CHAPTER,
    "clip_grad_value_": CHAPTER,
    "clip by value": CHAPTER,
    "mixed precision": "glossary.html#mixed-precision",
    "backward inside autocast": CHAPTER,
    "scaler order": f"{CHAPTER}#the-scaler-in-order",
    "scale shrinks": f"{CHAPTER}#a-loss-scale-that-shrinks",
    "loss scale": f"{CHAPTER}#a-loss-scale-that-shrinks",
    "scheduler per batch": f"{CHAPTER}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "scheduler per epoch": f"{CHAPTER}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "scheduler accumulation": f"{CHAPTER}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "skipped step": f"{CHAPTER}#a-false-alarm-after-a-skipped-step",
}


def test_search_finds_what_a_learner_types(
    browser: Browser, book: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(test_search, "FOUND", FOUND)
    test_search.test_search_finds_what_a_learner_types(browser, book)
