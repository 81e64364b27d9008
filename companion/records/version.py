"""Which version of the package this is, and where its course stands: on the web, or in words."""

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


def in_the_course(section: str) -> str:
    """Where a section stands: its address, or its titles where there is no site."""
    return on_the_web(section) or titled(section)


def titled(section: str) -> str:
    """A section of the course by the titles that its page's name and its own are made from.

    Example:
        >>> titled("12_gradients_that_go_wrong.html#gradients-that-pile-up")
        'chapter 12, "Gradients that go wrong", under "Gradients that pile up"'
        >>> titled("rules.html#no-batch")
        'the page "What the diagnosis knows", under "no-batch"'
    """
    page, _, heading = section.partition("#")
    number, _, name = page.removesuffix(".html").partition("_")
    if not number.isdecimal():
        return f'the page "What the diagnosis knows", under "{heading}"'
    title, under = (words.replace("_", " ").replace("-", " ") for words in (name, heading))
    return f'chapter {int(number)}, "{_capital(title)}", under "{_capital(under)}"'


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


@cache
def _site() -> str | None:
    try:
        links = metadata("training-routine").get_all("Project-URL") or []
    except PackageNotFoundError:
        return None
    named = dict(link.split(", ", 1) for link in links if ", " in link)
    return named["Homepage"].rstrip("/") if "Homepage" in named else None
