"""The search finds what somebody types whose network answers otherwise than it should."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.test_search import first_results

CHAPTER = "10_when_the_answer_moves.html"
FOUND = {
    "running mean": "glossary.html#running-mean-running-variance",
    "frozen batchnorm": CHAPTER,
    "freeze batch norm": CHAPTER,
    "track_running_stats": CHAPTER,
    "update_bn": CHAPTER,
    "good in train mode": f"{CHAPTER}#good-in-train-mode-bad-in-eval-mode",
    "batch of one": f"{CHAPTER}#a-batch-of-one",
    "bias before batchnorm": f"{CHAPTER}#the-bias-before-a-batchnorm",
    "LBFGS": "glossary.html#lbfgs",
    "LBFGS closure": f"{CHAPTER}#lbfgs-and-its-closure",
    "step inside backward": f"{CHAPTER}#a-step-inside-backward",
    "hook before after": f"{CHAPTER}#two-hooks-before-and-after",
    "two hooks": f"{CHAPTER}#two-hooks-before-and-after",
    "clip hook": CHAPTER,
    "fused": "glossary.html#foreach-fused",
    "fused step": f"{CHAPTER}#fused-foreach-the-same-step",
    "fused same step": f"{CHAPTER}#fused-foreach-the-same-step",
}


def test_search_finds_it(browser: Browser, book: Path) -> None:
    assert first_results(browser, book, FOUND) == FOUND
