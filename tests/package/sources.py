"""Both sources of calls and lines, where this Python has both: see `companion.tracing.sources`."""

from __future__ import annotations

import os
import sys

SOURCES = ["monitoring", "settrace"] if sys.version_info >= (3, 12) else ["settrace"]


def chosen() -> dict[str, str]:
    """What tells a process that is started which one a test has asked for."""
    from companion.tracing.sources.choice import VARIABLE  # torch comes with it

    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
