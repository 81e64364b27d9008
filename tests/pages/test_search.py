"""The search finds what a learner types."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from tests.pages.browser import visit
from tools.serving import serve

BETWEEN = "09_between_backward_and_step.html"
MOVES = "10_when_the_answer_moves.html"
RANKS = "11_two_processes.html"
FOUND = {
    "zero_grad": "glossary.html#zero-grad",
    "momentum buffer": "glossary.html#momentum-buffer",
    "why None": "glossary.html#none-why-none",
    "why is grad None": "03_computing_gradients.html",
    "retain_graph": "glossary.html#retain-graph",
    "gradient clipping": "glossary.html#gradient-clipping",
    "learning rate": "glossary.html#learning-rate",
    "in place": "04_updating_parameters.html#in-place",
    "forgot zero_grad": "01_training_routine.html",
    "nesterov": "glossary.html#nesterov-momentum",
    "eval mode": "glossary.html#eval-mode-and-train-mode",
    "gradient accumulation": "glossary.html#accumulate-gradient-accumulation",
    "loss not decreasing": "symptoms.html#the-loss-does-not-decrease-is-not-going-down",
    "loss not going down": "symptoms.html#the-loss-does-not-decrease-is-not-going-down",
    "loss nan": "symptoms.html#the-loss-is-nan-or-infinite",
    "backward twice": "03_computing_gradients.html",
    "gradient_sums": "api.html#companion.gradient_sums",
    "diagnose": "api.html#companion.Trace.diagnose",
    "command": "api.html#the-command",
    "model.eval": "glossary.html",
    "DataParallel": "glossary.html#dataparallel-distributeddataparallel",
    "DistributedDataParallel": "glossary.html#dataparallel-distributeddataparallel",
    "DDP": RANKS,
    "overfitting": "glossary.html#overfitting",
    "requires_grad": "glossary.html#requires-grad",
    "requires_grad_": "02_parameters_and_grad.html",
    "closure": "glossary.html#closure",
    "LBFGS": "glossary.html#lbfgs",
    "tensor": "glossary.html#tensor",
    "module": "glossary.html#module",
    "hook": "glossary.html#hook",
    "relu": "glossary.html#relu",
    "dropout": "glossary.html#dropout",
    "batch norm": "glossary.html#batch-normalization",
    "one hot": "glossary.html#one-hot",
    "hidden state": "glossary.html#hidden-state",
    "bfloat16": "glossary.html#bfloat16-float16",
    "half precision": f"{BETWEEN}#half-precision-two-kinds",
    "autocast": "glossary.html#autocast",
    "foreach": "glossary.html#foreach-fused",
    "chain rule": "glossary.html#chain-rule",
    "validation": "glossary.html#validation",
    "checkpoint": "glossary.html#checkpoint",
    "device": "glossary.html#device",
    "dtype": "glossary.html#dtype",
    "vanishing gradient": "glossary.html#exploding-and-vanishing-gradients",
    "element 0": "symptoms.html",
    "does not require grad": "symptoms.html#error-element-0-of-tensors-does-not-require-grad",
    "inplace operation": "symptoms.html#error-modified-by-an-inplace-operation",
    "more than 1 value per channel": "symptoms.html#error-expected-more-than-1-value-per-channel",
    "finished reduction": "symptoms.html#error-expected-to-have-finished-reduction",
    "find_unused_parameters": RANKS,
    "unscale_": "symptoms.html#error-unscale-has-already-been-called",
    "lr_scheduler warning": "symptoms.html#warning-lr-scheduler-step-before-optimizer-step",
    "bad in eval mode": "symptoms.html#good-in-train-mode-bad-in-eval-mode",
    "loss stuck": "symptoms.html",
    "out of memory": "symptoms.html",
    "weight used twice": "05_inside_backward.html#a-shared-weight-is-used-twice",
    "shared weights": "05_inside_backward.html#a-shared-weight-is-used-twice",
    "two losses": "05_inside_backward.html",
    "frozen layer": "05_inside_backward.html#what-a-frozen-layer-passes-on",
    "freeze discriminator": "05_inside_backward.html",
    "saved tensors": "glossary.html#saved-tensor",
    "detach vs no_grad": "05_inside_backward.html",
    "memory leak": "symptoms.html",
    "memory grows first step": ("symptoms.html#memory-grows-in-the-first-step-or-with-every-step"),
    "dead relu": "05_inside_backward.html",
    "scalar outputs": ("symptoms.html#error-implicitly-created-only-for-scalar-outputs"),
    "incorrect number of gradients": (
        "symptoms.html#error-returned-an-incorrect-number-of-gradients"
    ),
    "backward never called": "05_inside_backward.html#a-backward-that-is-never-called",
    "custom autograd function": "05_inside_backward.html",
    "gradcheck": "glossary.html#gradcheck",
    "create_graph": "glossary.html#create-graph",
    "activation checkpointing": "glossary.html#recomputing-activation-checkpointing",
    "resume": "08_a_whole_script.html",
    "loss jumps": "symptoms.html#after-loading-a-checkpoint-the-loss-jumps",
    "best weights": "08_a_whole_script.html#the-best-weights",
    "save best model": "08_a_whole_script.html",
    "same seed": "symptoms.html#the-same-seed-another-result",
    "same seed different result": "08_a_whole_script.html",
    "validation loss lower": "08_a_whole_script.html#the-validation-loss-is-lower",
    "find learning rate": "07_adam.html#finding-a-learning-rate",
    "range test": "glossary.html#range-test",
    "overfit one batch": "08_a_whole_script.html#overfit-one-batch",
    "thaw": "08_a_whole_script.html#thawing",
    "unfreeze": "08_a_whole_script.html",
    "learning rate reset": "08_a_whole_script.html",
    "unequal batches": f"{BETWEEN}#unequal-batches",
    "leftover batches": f"{BETWEEN}#leftover-batches",
    "accumulation batchnorm": BETWEEN,
    "sum or mean": "07_adam.html#mean-or-sum",
    "how much to clip": f"{BETWEEN}#clipping-how-much",
    "max_norm": BETWEEN,
    "clip_grad_value_": BETWEEN,
    "clip by value": BETWEEN,
    "mixed precision": "glossary.html#mixed-precision",
    "backward inside autocast": BETWEEN,
    "scaler order": f"{BETWEEN}#the-scaler-in-order",
    "scale shrinks": f"{BETWEEN}#a-loss-scale-that-shrinks",
    "loss scale": f"{BETWEEN}#a-loss-scale-that-shrinks",
    "scheduler per batch": f"{BETWEEN}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "scheduler per epoch": f"{BETWEEN}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "scheduler accumulation": f"{BETWEEN}#a-scheduler-per-batch-per-epoch-with-accumulation",
    "skipped step": f"{BETWEEN}#a-false-alarm-after-a-skipped-step",
    "running mean": "glossary.html#running-mean-running-variance",
    "frozen batchnorm": MOVES,
    "freeze batch norm": MOVES,
    "track_running_stats": MOVES,
    "update_bn": MOVES,
    "good in train mode": f"{MOVES}#good-in-train-mode-bad-in-eval-mode",
    "batch of one": f"{MOVES}#a-batch-of-one",
    "bias before batchnorm": f"{MOVES}#the-bias-before-a-batchnorm",
    "LBFGS closure": f"{MOVES}#lbfgs-and-its-closure",
    "step inside backward": f"{MOVES}#a-step-inside-backward",
    "hook before after": f"{MOVES}#two-hooks-before-and-after",
    "two hooks": f"{MOVES}#two-hooks-before-and-after",
    "clip hook": MOVES,
    "fused": "glossary.html#foreach-fused",
    "fused step": f"{MOVES}#fused-foreach-the-same-step",
    "fused same step": f"{MOVES}#fused-foreach-the-same-step",
    "gradients averaged": f"{RANKS}#gradients-summed-or-averaged",
    "summed or averaged": f"{RANKS}#gradients-summed-or-averaged",
    "average gradients": f"{RANKS}#gradients-summed-or-averaged",
    "average_gradients": RANKS,
    "DDP learning rate": RANKS,
    "learning rate processes": f"{RANKS}#the-learning-rate-and-the-number-of-processes",
    "number of gpus": RANKS,
    "several gpus": f"{RANKS}#several-gpus-and-a-cluster",
    "multi gpu": RANKS,
    "no_sync": "glossary.html#no-sync",
    "no_sync accumulation": f"{RANKS}#no-sync-and-accumulation",
    "unused parameters": f"{RANKS}#unused-parameters",
    "DistributedSampler": "glossary.html#distributedsampler",
    "set_epoch": RANKS,
    "sampler padding": RANKS,
    "uneven batches": RANKS,
    "accuracy all ranks": RANKS,
    "loss of all ranks": RANKS,
    "seed rank": f"{RANKS}#seeds-one-for-each-rank",
    "manual_seed rank": RANKS,
    "all_reduce": RANKS,
    "torchrun": "glossary.html#torchrun",
    "FSDP": f"{RANKS}#what-fsdp-changes",
    "SyncBatchNorm": RANKS,
    "world size": RANKS,
    "LOCAL_RANK": RANKS,
    "two processes": f"{RANKS}#one-script-two-processes",
    "memory increases": "symptoms.html",
    "loss increases after loading": "symptoms.html",
    "nondeterministic": "symptoms.html",
    "dropout still active": "glossary.html",
    "remaining batches": BETWEEN,
    "WGAN gradient penalty": "05_inside_backward.html",
    "learning rate finder": "08_a_whole_script.html",
    "intermediate gradient": "02_parameters_and_grad.html",
    "discriminative learning rates": "glossary.html",
}


# As the page itself does it when it comes with words; a page for each of them would take a minute.
ASK = """words => {
    document.querySelector("#search-results").replaceChildren();
    Search.performSearch(words);
}"""


def test_search_finds_what_a_learner_types(browser: Browser, book: Path) -> None:
    """That typed words are asked for, and that a click follows, is seen in test_pages.py."""
    top = {}
    with serve(book, gzipped=False) as address, visit(browser, f"{address}search.html") as reader:
        page = reader.page
        page.wait_for_function("Search.hasIndex()")
        # The passages below the links are not looked at; each would be read from a whole page.
        page.route("**/*.html", lambda route: route.abort())
        for words in FOUND:
            page.evaluate(ASK, words)
            first_one = page.locator("#search-results ul.search > li > a").first
            top[words] = (first_one.get_attribute("href") or "").rpartition("/")[2]
    assert top == FOUND
