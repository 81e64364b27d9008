"""Which line of my training loop changed what?

Floors of the package; a module imports only from floors below it:

1. `wall` (what keeps us out of the script), `budget` (how long we may take), `memory` (who holds a
   tensor's), `writes` (which of them torch does not count).
2. `findings`, `graphs`, `modules`, `optim`, `models`, `data`, `steps`: one idea each.
3. `probes` (a tensor's reading), `source`, `syntax` (what a statement says).
4. `records` (what a trace is made of), `packs` (many small tensors as one), `watched` (what is
   traced, by name).
5. `events`, `variables`, `structure` (what a line did, beside changing values), `tree` (names of
   parameters), `seen` (a tensor as it was), `ledger` (which backward stands in which gradient),
   `render` (records → text, rows, figure), `saving` (records → JSON and back).
6. `measure` (tensors → states), `calls`, `place` (what a call means, where a line stands), `rules`.
7. `follow` (frames → records), `diagnosis` (records → findings).
8. `trace`: the one object a reader holds.
9. `scout` (finds the loop of a script nobody edited), `starting` (runs it as Python does), and
   above them `python -m companion`.
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
