"""Which code may run the user's training loop for him: that of an installed library."""

from __future__ import annotations

import os
import sysconfig
from types import CodeType

import torch

from companion.isolation.libraries import is_in_library

_NO_TRAINER = (
    os.path.dirname(torch.__file__) + os.sep,
    os.path.dirname(os.path.dirname(os.path.dirname(__file__))) + os.sep,  # this package
)
_STDLIB = sysconfig.get_paths()["stdlib"] + os.sep


def is_foreign(code: CodeType) -> bool:
    """Whether code is an installed library's: not torch's, not Python's, not ours."""
    name = code.co_filename
    if not is_in_library(name) or name.startswith(_NO_TRAINER):
        return False
    return not name.startswith(_STDLIB) or "-packages" in name
