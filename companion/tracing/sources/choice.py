"""Which of the sources a trace hears from."""

from __future__ import annotations

import os

from companion.tracing.sources.monitoring import Monitoring
from companion.tracing.sources.settrace import Settrace
from companion.tracing.sources.source import Listener, Source

VARIABLE = "COMPANION_SOURCE"  # for our tests: "settrace" has that one taken in any case


def source_for(listener: Listener, before: Source) -> Source:
    """`sys.monitoring` from Python 3.12 on, where it has a tool for us; `sys.settrace` else.

    `before` is the source that the listener had; it has it again, if it is of that kind.
    """
    if os.environ.get(VARIABLE) != "settrace":
        monitoring = before if isinstance(before, Monitoring) else Monitoring(listener)
        if monitoring.take():
            return monitoring
    settrace = before if isinstance(before, Settrace) else Settrace(listener)
    settrace.take()
    return settrace
