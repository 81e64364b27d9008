"""Reference optimizers, to be read: torch's numbers to the last bit, torch's state and options.

From simple to complex:

- `sgd`: the rule of SGD, the same rule for many parameters at once, the class.
- `adam`, `adam_forms`: the same for Adam. `adamw`: AdamW is Adam with one option set.
- `reference`: what they share, which is everything but the rule: groups, closures, checkpoints.
- `options`: what is refused, and what the error says. `hooks`: torch's step hooks.
"""

from __future__ import annotations

from companion.optim.adam import Adam
from companion.optim.adamw import AdamW
from companion.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW"]
