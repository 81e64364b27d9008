"""Which version of the package this is, and where its course stands on the web."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, version


def installed() -> str:
    """The version that was installed; "0+unknown" where it runs from its sources."""
    try:
        return version("training-routine")
    except PackageNotFoundError:
        return "0+unknown"


def on_the_web(page: str) -> str | None:
    """The address of a page of the course; None where the installed package names no site."""
    site = _site()
    return site and f"{site}/{page}"


@cache
def _site() -> str | None:
    try:
        links = metadata("training-routine").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(link.split(", ", 1) for link in links if ", " in link)
    return named["Homepage"].rstrip("/") if "Homepage" in named else None
