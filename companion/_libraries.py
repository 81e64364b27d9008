"""Which files are not the user's: Python's own, installed packages, this package."""

from __future__ import annotations

import functools
import os
import site
import sysconfig

import torch


def _folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [os.path.dirname(torch.__file__), os.path.dirname(__file__)]
    folders += [site.getusersitepackages()]
    return tuple(os.path.realpath(folder) + os.sep for folder in folders)


_FOLDERS = _folders()


@functools.cache
def is_in_library(filename: str) -> bool:
    """Whether a file belongs to a library."""
    path = os.path.realpath(filename)
    parts = path.split(os.sep)
    return path.startswith(_FOLDERS) or "site-packages" in parts or "dist-packages" in parts
