"""The browser that looks at pages and prints them: one that is installed."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome")
HOW_TO_GET_IT = "apt-get install chromium, or set CHROMIUM=/path/to/it"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """The browser to use: the one that CHROMIUM names, else one that is installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        if shutil.which(named) is None:
            raise FileNotFoundError(f"CHROMIUM={named}: no such program")
        return named
    return next((path for name in NAMES if (path := shutil.which(name))), None)
