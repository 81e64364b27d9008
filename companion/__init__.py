"""Which line of my training loop changed what?

Floors of the package; a module imports only from floors below it:

1. `probes`, `optim`, `models`, `data`, `source`: one idea each.
2. `records`: what a trace is made of.
3. `measure` (tensors → records), `render` (records → text, rows, figure).
4. `trace`: the one object a reader holds.
"""

from companion.data import cifar10, digits
from companion.models import Net
from companion.optim import SGD, Adam, AdamW
from companion.probes import Reading, gradient_sums, parameter_sums
from companion.records import LineRecord, State
from companion.render.style import course_style
from companion.trace import Trace, trace

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "LineRecord",
    "Net",
    "Reading",
    "State",
    "Trace",
    "cifar10",
    "course_style",
    "digits",
    "gradient_sums",
    "parameter_sums",
    "trace",
]
