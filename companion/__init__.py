"""Which line of my training loop changed what?

The rooms of the package; what is in one imports only from rooms on floors below it:

1. `isolation`: what keeps our own work out of the script that is watched.
2. `records`: the immutable data of a trace and of a diagnosis, their file, their texts.
2. `optim`: SGD, Adam, AdamW, written to be read.
2. `course`: what the chapters use beside the trace: network, images, the cases of an exercise.
3. `diagnosis`: records become findings: the ledger of backward calls, and the rules.
3. `render`: records and findings become text, rows, a figure, the player.
3. `tracing/measure`: tensors become readings, and two moments become "what changed".
4. `tracing/guard`: what is still looked at after steps when no line is watched any more.
5. `tracing`: a running frame becomes records: `trace()`, who follows, what a call means.
6. `command`: what `python -m companion` does: running a script, finding its loop, the report.
7. `integrations`: a callback for Lightning, one for the Trainer, and what the pytest plugin does.
"""

from __future__ import annotations

from companion.course.data import cifar10, digits
from companion.course.net import Net
from companion.course.style import course_style
from companion.optim import SGD, Adam, AdamW
from companion.records.finding import Finding
from companion.records.line import Event, LineRecord, State
from companion.records.reading import Reading
from companion.records.value import Value
from companion.tracing.measure.sums import gradient_sums, parameter_sums
from companion.tracing.result import Trace
from companion.tracing.tracer import trace


def __getattr__(name: str) -> str:
    """`__version__`, looked up when somebody asks for it."""
    if name == "__version__":
        from companion.records.version import installed

        return installed()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
    "Value",
    "cifar10",
    "course_style",
    "digits",
    "gradient_sums",
    "parameter_sums",
    "trace",
]
