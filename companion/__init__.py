"""Which line of my training loop changed what?

Floors of the package; a module imports only from floors below it:

1. `findings`, `graphs`, `probes`, `optim`, `models`, `data`, `source`, `steps`, `syntax`,
   `writes`: one idea each.
2. `records` (what a trace is made of), `packs` (many small tensors as one), `watched` (what is
   traced, by name).
3. `events`, `variables`, `structure` (what a line did, beside changing values), `tree` (names of
   parameters), `ledger` (which backward stands in which gradient), `render` (records → text,
   rows, figure), `saving` (records → JSON and back).
4. `measure` (tensors → states), `rules` (what is wrong).
5. `follow` (frames → records), `diagnosis` (records → findings).
6. `trace`: the one object a reader holds.
7. `scout` (finds the loop of a script nobody edited), and above it `python -m companion`.
"""

from companion.data import cifar10, digits
from companion.findings import Finding
from companion.models import Net
from companion.optim import SGD, Adam, AdamW
from companion.probes import Reading, gradient_sums, parameter_sums
from companion.records import Event, LineRecord, State
from companion.render.style import course_style
from companion.trace import Trace, trace

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Event",
    "Finding",
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
