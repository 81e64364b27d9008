"""Which version of the package this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def installed() -> str:
    """The version that was installed; "0+unknown" where it runs from its sources."""
    try:
        return version("training-routine")
    except PackageNotFoundError:
        return "0+unknown"
