"""The immutable data of a trace and of a diagnosis, their file, and how their texts may be shown.

Pickles from before the package had rooms name this module, and two that are aliases now.
"""

from __future__ import annotations

import sys

from companion.records import finding, reading
from companion.records.line import Event, LineRecord, State

__all__ = ["Event", "LineRecord", "State"]

sys.modules["companion.findings"] = finding
sys.modules["companion.probes"] = reading
