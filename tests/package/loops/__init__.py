"""Training loops as people write them: what a trace and its diagnosis are tested on.

`broken_NN_*.py`: a mistake each. Every `broken*` function has its `repaired*` twin, and ends the
line to blame with the comment `# <- rule-id`. `sound_*.py`: what must stay free of findings.
`real_NN_*.py`: whole scripts that know nothing of this package.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

Tracing = Callable[..., AbstractContextManager[Any]]
"""What a loop takes as its argument: `companion.trace`, or a stand-in for it."""
