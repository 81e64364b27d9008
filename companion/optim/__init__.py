"""Reference optimizers, to be read: torch's numbers to the last bit, torch's state and options.

From simple to complex:

- `sgd`: the rule of SGD, the same rule for many parameters at once, the class.
- `adam`: the same for Adam; AdamW is Adam with one option set.
- `reference`: what they share, which is everything but the rule: groups, closures, checkpoints.
- `options`: what is refused, and what the error says. `hooks`: torch's step hooks.
"""

from companion.optim.adam import Adam, AdamW
from companion.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW"]
