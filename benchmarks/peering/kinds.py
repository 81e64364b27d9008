"""What a message is about: which of a peer's findings name which mistake.

A loop's mistake is named by our rules, since the loops are ours; those that only peers look for
have names in `theirs.py`. A peer has found a loop where one of its messages is mapped to one of
the loop's names. In doubt a message is mapped: a symptom that leads to the line counts as found.
"""

from __future__ import annotations

import re

NOTHING_MOVES = (
    "no-backward not-called discarded no-gradient other-parameters never-moves cut-between "
    "dead-layer zero-lr all-skipped in-no-optimizer constant-term unregistered layer-unused"
)
NO_GRADIENT = "no-gradient cut-between dead-layer constant-term none-gradient layer-unused"
KINDS = {
    "torch-preflight": [
        ("TG001", "graph-kept graph-grows"),
        ("TG002", "graph-unused no-validation-guard evaluation-in-train-mode"),
        ("TG003", "accumulates polluted not-called"),
        ("TG004", "loader-alone"),
        ("TG005", "softmax-twice log-missing softmax-across"),
        ("TG006", "softmax-twice log-missing targets-outside not-finite"),
        ("TG008", "not-seeded"),
        ("TG011", "eval-mode"),
        ("TG012", "same-data"),
        ("TG014", "accumulation-not-divided"),
    ],
    "mldoct": [
        ("missing_zero_grad", "accumulates polluted not-called"),
        ("double_softmax", "softmax-twice softmax-across"),
        ("oom_leak", "graph-kept graph-grows"),
        ("missing_eval", "evaluation-in-train-mode dropout-in-eval frozen-in-train-mode"),
        ("cpu_bottleneck", "loader-alone"),
    ],
    "TorchFix": [
        ("TOR002", "misnamed"),
        ("TOR102", "load-unsafe"),
        ("TOR001|TOR004|TOR101|TOR103", "function-deprecated"),
    ],
    "torch-audit": [
        ("TA100", "not-finite"),
        ("TA102", "not-finite accumulates clip-before-unscale step-without-unscale"),
        ("TA103", "dead-layer softmax-across zero-lr"),
        ("TA104", "no-gradient no-backward not-called discarded none-gradient cut-between"),
        ("TA105", "dead-layer"),
        ("TA301", "data-not-scaled"),
        ("TA302", "data-blank"),
        ("TA304", "batch-too-small"),
        ("TA305", "targets-outside"),
        ("TA400", "bias-before-norm"),
        ("TA40[123]", "decay-of-norms"),
        ("TA500", "layer-unused unregistered in-no-optimizer"),
    ],
    "torcheck": [
        ("should change", NOTHING_MOVES),
        ("should not change", "frozen-moves frozen-by-hand"),
        ("contains (NaN|inf)", "not-finite"),
        ("shouldn't all", "softmax-twice log-missing softmax-across"),
        ("doesn't belong to any optimizer", "in-no-optimizer other-parameters no-gradient"),
    ],
    "torchtest2": [
        ("optimizer_coverage", "in-no-optimizer other-parameters unregistered made-in-forward"),
        ("gradient_flow", NO_GRADIENT),
        ("gradient_magnitude", f"not-finite {NO_GRADIENT}"),
        ("params_change", NOTHING_MOVES),
        ("frozen_params", "frozen-moves frozen-by-hand"),
        ("output_finite|overfit_batch.*(NaN|not finite|infinite)", "not-finite"),
        ("overfit_batch", f"softmax-twice softmax-across broadcast-loss {NOTHING_MOVES}"),
        ("^loss ", f"{NO_GRADIENT} not-finite"),
        ("eval_determinism", "dropout-in-eval"),
        ("batch_independence", "softmax-across batch-mixed"),
        ("initial_loss", "too-sure-at-first softmax-across log-missing"),
        ("input_dependency", "input-ignored dead-layer"),
        ("output_varies", "dead-layer softmax-across data-blank"),
        ("gradcheck", "backward-wrong"),
    ],
}
"""By the peer: what its message matches, and the mistakes that this names."""

HINTS = r"^(TA20\d|TG007|TG013|cpu_bottleneck) "
"""Of speed on a GPU. They are true of toy networks on a CPU, and are not counted as noise."""

FOLDER = {
    "accum_clip": "accumulation-not-divided",
    "attr_graph_kept": "graph-kept",
    "b08_clip_after_step": "clip-after-step",
    "b23_self_losses_append": "graph-kept",
    "b24_lr_nan": "not-finite",
    "b25_partial_cut": "cut-between",
    "b26_dead_relu": "dead-layer",
    "clip_after_noop": "clip-after-step",
    "gan_detached_generator": "no-gradient discarded cut-between",
    "gan_wrong_params": "other-parameters in-no-optimizer polluted",
    "half_optimizer": "in-no-optimizer other-parameters",
    "lbfgs_runs": "",
    "lr0": "zero-lr",
    "module_self_total": "graph-kept",
    "mse_module_broadcast": "broadcast-loss",
    "nan_early": "not-finite",
    "no_backward": "no-backward",
    "no_step": "never-steps clears-and-no-more",
    "opt_half": "in-no-optimizer other-parameters",
    "param_loop_data_slow": "",
    "paren_backward": "not-called no-backward",
    "paren_step": "not-called never-steps",
    "rl_warmup": "accumulates",
    "softmax_floor": "softmax-twice",
    "step_before_backward_lr0": "step-before-backward accumulates",
    "step_dedent": "step-outside-loop discarded",
    "tied_new_head": "in-no-optimizer other-parameters",
    "total_before_backward": "graph-kept",
    "val_grad": "graph-unused graph-kept no-effect",
}
"""What is wrong with each script of the folder of loops that this course was developed on: those
that it did not find once. Two of them are sound."""


def named(peer: str, message: str) -> frozenset[str]:
    """The mistakes that a message of a peer's names; one of ours is a rule."""
    if peer == "companion":
        return frozenset({message.partition(":")[0]})
    found = [about for pattern, about in KINDS[peer] if re.search(pattern, message)]
    return frozenset(" ".join(found).split())
