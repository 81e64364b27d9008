"""The search finds what somebody types who trains in several processes."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.test_search import first_results

PAGE = "11_two_processes.html"
FOUND = {
    "gradients averaged": f"{PAGE}#gradients-summed-or-averaged",
    "summed or averaged": f"{PAGE}#gradients-summed-or-averaged",
    "average gradients": f"{PAGE}#gradients-summed-or-averaged",
    "average_gradients": PAGE,
    "DDP": PAGE,
    "DDP learning rate": PAGE,
    "learning rate processes": f"{PAGE}#the-learning-rate-and-the-number-of-processes",
    "number of gpus": PAGE,
    "several gpus": f"{PAGE}#several-gpus-and-a-cluster",
    "multi gpu": PAGE,
    "no_sync": "glossary.html#no-sync",
    "no_sync accumulation": f"{PAGE}#no-sync-and-accumulation",
    "unused parameters": f"{PAGE}#unused-parameters",
    "find_unused_parameters": PAGE,
    "DistributedSampler": "glossary.html#distributedsampler",
    "set_epoch": PAGE,
    "sampler padding": PAGE,
    "uneven batches": PAGE,
    "accuracy all ranks": PAGE,
    "loss of all ranks": PAGE,
    "seed rank": f"{PAGE}#seeds-one-for-each-rank",
    "manual_seed rank": PAGE,
    "all_reduce": PAGE,
    "torchrun": "glossary.html#torchrun",
    "FSDP": f"{PAGE}#what-fsdp-changes",
    "SyncBatchNorm": PAGE,
    "world size": PAGE,
    "LOCAL_RANK": PAGE,
    "two processes": f"{PAGE}#one-script-two-processes",
}


def test_search_finds_it(browser: Browser, book: Path) -> None:
    assert first_results(browser, book, FOUND) == FOUND
