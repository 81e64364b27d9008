"""Which files are not the user's: Python's own, installed packages, this package.

Told by their names alone: `os.path.realpath` asks the disk, and would swallow a signal's OSError.
"""

from __future__ import annotations

import os
import site
import sysconfig

import torch


def _folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [os.path.dirname(torch.__file__), os.path.dirname(os.path.dirname(__file__))]
    folders += [site.getusersitepackages()]
    both = {*folders, *map(os.path.realpath, folders)}
    return tuple(folder + os.sep for folder in both)


_FOLDERS = _folders()
_INSTALLED = tuple(f"{os.sep}{name}-packages{os.sep}" for name in ("site", "dist"))


def is_in_library(filename: str) -> bool:
    """Whether a file belongs to a library."""
    return filename.startswith(_FOLDERS) or any(name in filename for name in _INSTALLED)
