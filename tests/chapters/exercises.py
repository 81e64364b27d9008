"""The exercises of a chapter: what is wrong, and what the chapter itself gives as the answer."""

from __future__ import annotations

import re
from typing import Any

WRONG = {
    ("01_training_routine", 1): "answer_1 = 89",
    ("01_training_routine", 2): "answer_2 = 1.0",
    ("01_training_routine", 3): "answer_3 = routine",
    ("02_parameters_and_grad", 1): "answer_1 = 0",
    ("02_parameters_and_grad", 2): "answer_2 = [1.0, 2.0, 3.0]",
    ("02_parameters_and_grad", 3): "answer_3 = nn.Linear(1, 1)",
    ("03_computing_gradients", 1): "answer_1 = 1",
    ("03_computing_gradients", 2): "answer_2 = 0.0",
    ("04_updating_parameters", 1): "answer_1 = 10",
    (
        "04_updating_parameters",
        2,
    ): "my_step = lambda net, lr: optim.SGD(net.parameters(), lr=0.1).step()",
    ("04_updating_parameters", 3): "answer_3 = True",
    ("05_sgd_in_full", 1): "answer_1 = 0.1",
    ("05_sgd_in_full", 2): "answer_2 = 0.5",
    ("05_sgd_in_full", 3): "my_step = lambda p, buffer, lr, momentum: None",
    ("06_adam", 1): "answer_1 = 0.05",
    ("06_adam", 2): "my_adam = lambda p, m, v, t, lr: None",
    ("06_adam", 3): "answer_3 = False",
    ("07_when_training_goes_wrong", 1): "answer_1 = 4",
    ("07_when_training_goes_wrong", 2): "my_epoch = lambda net, optimizer, batches: 0.0",
    ("07_when_training_goes_wrong", 3): "answer_3 = True",
    ("08_your_own_loop", 1): 'answer_1 = {"every": 20}',
    ("08_your_own_loop", 2): "silent = lambda routine: []",
    ("08_your_own_loop", 3): "answer_3 = 'self.optimizer.step()'",
}


def tagged(notebook: Any, tag: str) -> list[Any]:
    """The cells that have this tag."""
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


def solutions(notebook: Any) -> list[str]:
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    hidden = re.findall(
        r"<details>\n<summary>Solution (\d)</summary>\n(.*?)\n</details>", prose, re.S
    )
    assert [int(number) for number, _ in hidden] == list(range(1, len(hidden) + 1))
    return ["\n".join(re.findall(r"```python\n(.*?)```", text, re.S)) for _, text in hidden]
