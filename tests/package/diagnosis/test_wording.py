"""What a finding says where that depends on the loop: how many, how far in, which line alone."""

from __future__ import annotations

import re

import pytest

from tests.package.diagnosis.test_diagnosis import run

SAID = [
    ("broken_25_made_in_forward", "broken_parameter", "observed", r"1 parameter, .* makes it anew"),
    ("broken_26_graph_unused", "broken", "cure", r"no_grad\(\):\n    logits = net\(x\)$"),
    ("broken_62_learning_rate", "broken_zero", "cure", r"in optimizer\.param_groups"),
    ("broken_62_learning_rate", "broken_zero_too_soon", "cure", r"^schedule\.step\(\)  # once"),
    ("broken_25_does_nothing", "broken_loads_itself", "observed", r"consists of \(4 of them\)"),
    ("broken_25_does_nothing", "broken_best", "observed", r"consists of \(4 of them\)"),
    ("broken_26_steps_twice", "broken", "cure", r"optimizer\.step\(\)  # line \d+ alone: once"),
    ("broken_26_steps_twice", "broken_scaled", "cure", r"scaler\.step\(optimizer\)  # line \d+"),
    ("broken_32_targets_outside", "broken", "cure", r", \(y\.sign\(\) \+ 1\) / 2\)$"),
    (
        "broken_61_outside_the_loop",
        "broken_backward",
        "cure",
        r"loss\.backward\(\)\noptimizer\.step\(\)  # both as far in as line \d+",
    ),
    (
        "broken_61_outside_the_loop",
        "broken_all_three",
        "cure",
        r"opt\.zero_grad\(\)\nloss\.backward\(\)\nopt\.step\(\)  # all as far in as line \d+",
    ),
    ("broken_61_outside_the_loop", "broken_step", "observed", "each step used only the last"),
    ("broken_61_outside_the_loop", "broken_step_at_the_end", "observed", "the step used only"),
    (
        "broken_52_average_without_buffers",
        "broken",
        "observed",
        r"1\.running_mean stayed as it was, that of Sequential went from 0",
    ),
    (
        "broken_24_constant_term",
        "broken",
        "observed",
        r"^0\.8 \* wrong is a term of loss \(line \d+\) and has no graph",
    ),
]


@pytest.mark.parametrize(("module", "name", "part", "words"), SAID)
def test_it_says(module: str, name: str, part: str, words: str) -> None:
    findings = [one for routine in run(module, name) for one in routine.diagnose()]
    assert any(re.search(words, getattr(one, part)) for one in findings), findings
