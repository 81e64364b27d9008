"""What Lighthouse says of every page of the built book: `make lighthouse`.

The book is served on localhost twice: gzipped, as GitHub Pages sends it, and plain. Every page is
opened with Lighthouse's mobile preset, which reckons with the network and the processor of a phone,
each time by a new browser. Each number is the median of its runs. Whatever else the machine is
busy with costs the page performance.

- Performance, accessibility, best practices and SEO are Lighthouse's scores, at most 1.
- FCP and LCP are the seconds until the first content and the largest piece of it are painted.
- CLS is the layout shift, 0 where nothing moves.
- KB is all that came over the network, pictures included.

Lighthouse comes from the npm registry through npx, which needs Node; the browser is the Chromium
that is installed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from side_by_side import head, line, processor, told

from tools.chromium import HOW_TO_GET_IT, QUIET, chromium
from tools.serving import pages, serve

LIGHTHOUSE = "12.8.2"  # the last that runs on Node 20; 13 wants 22
TABLE = Path(__file__).with_name("lighthouse.md")
BOOK = Path(__file__).parents[1] / "_build/html"
RUNS = 3
SERVERS = {"gzipped": True, "plain": False}


Number = Callable[[dict[str, Any]], float]  # of Lighthouse's JSON


def score(category: str) -> Number:
    """From 0 to 1."""
    return lambda report: float(report["categories"][category]["score"])


def value(audit: str, unit: float = 1) -> Number:
    """In that unit."""
    return lambda report: float(report["audits"][audit]["numericValue"]) / unit


COLUMNS: dict[str, tuple[str, Number]] = {
    "performance": (".2f", score("performance")),
    "accessibility": (".2f", score("accessibility")),
    "best practices": (".2f", score("best-practices")),
    "SEO": (".2f", score("seo")),
    "FCP, s": (".1f", value("first-contentful-paint", 1000)),
    "LCP, s": (".1f", value("largest-contentful-paint", 1000)),
    "CLS": (".3f", value("cumulative-layout-shift")),
    "KB": (".0f", value("total-byte-weight", 1000)),
}


def run(npx: str, browser: str, address: str) -> dict[str, Any]:
    """Open a page once; Lighthouse's JSON."""
    command = [npx, "--yes", f"lighthouse@{LIGHTHOUSE}", address, "--output=json", "--quiet"]
    flags = " ".join(["--headless=new", *QUIET])
    done = subprocess.run(
        [*command, f"--chrome-flags={flags}"],
        env={**os.environ, "CHROME_PATH": browser, "npm_config_loglevel": "error"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    )
    report: dict[str, Any] = json.loads(done.stdout)
    if "runtimeError" in report:
        raise RuntimeError(f"{address}: {report['runtimeError']['message']}")
    return report


def medians(reports: list[dict[str, Any]]) -> list[str]:
    """A cell for each column."""
    return [
        f"{statistics.median(number(report) for report in reports):{form}}"
        for form, number in COLUMNS.values()
    ]


def about(browser: str, node: str, runs: int) -> str:
    """What the table was measured with."""

    def version(program: str) -> str:
        told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        found = re.search(r"\d[\d.]+", told.stdout)
        return found.group() if found else "of unknown version"

    return (
        f"Measured on {date.today():%Y-%m-%d}: {processor()}, {os.cpu_count()} cores; "
        f"Lighthouse {LIGHTHOUSE}, Chromium {version(browser)}, Node {version(node)}; "
        f"runs of every page: {runs}."
    )


def main() -> None:
    """Measure, print as it goes, and write the table."""
    parser = argparse.ArgumentParser(description="What Lighthouse says of every page.")
    parser.add_argument("pages", nargs="*", help="such as index.html; all of them by default")
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--book", type=Path, default=BOOK, help="the folder of the built pages")
    parser.add_argument("--output", type=Path, default=TABLE)
    options = parser.parse_args()

    node, npx, browser = shutil.which("node"), shutil.which("npx"), chromium()
    if node is None or npx is None:
        parser.error("no Node: Lighthouse is a Node program, see https://nodejs.org")
    if browser is None:
        parser.error(f"no Chromium: {HOW_TO_GET_IT}")
    known = pages(options.book)
    if not known:
        parser.error(f"no pages in {options.book}: make book")
    unknown = [page for page in options.pages if page not in known]
    if unknown:
        parser.error(f"no such page: {', '.join(unknown)}; there are {', '.join(known)}")

    def rows(address: str) -> Iterator[str]:
        for page in options.pages or known:
            reports = [run(npx, browser, address + page) for _ in range(options.runs)]
            yield line([page, *medians(reports)])

    text = ["# Lighthouse, page by page", about(browser, node, options.runs)]
    text.append((__doc__ or "").split("\n\n", 1)[1].strip())
    for server, gzipped in SERVERS.items():
        print(f"\n{server}")
        with serve(options.book, gzipped=gzipped) as address:
            text += [f"## {server.capitalize()}", told(head(["page"], [*COLUMNS]), rows(address))]
    options.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
