"""What a running frame's variables hold, read without disturbing it."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

# There a comprehension shares its module's frame, and whoever reads `f_locals` while it runs makes
# CPython write None into its variable ("assigning None to unbound local").
_SHARED = (3, 12) <= sys.version_info < (3, 13)


def local_variables(frame: FrameType) -> dict[str, Any]:
    """A frame's local variables by name; of a module these are its globals.

    Until Python 3.13 a copy that keeps what it holds alive until it is read again.
    """
    if _SHARED and frame.f_code.co_name == "<module>":
        return frame.f_globals
    return frame.f_locals
