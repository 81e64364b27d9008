"""How the chapters are executed, and how the tests are dealt out to the workers."""

from __future__ import annotations

import gc
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.chapters.execution import Chapter
from tools.guarantees import README, table

if TYPE_CHECKING:
    from xdist.scheduler.loadscope import LoadScopeScheduling

BEGAN = time.monotonic()

# Each worker computes on one core, or they would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hundreds of processes import the same: it is compiled once, whatever the shell asks of other
# programs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# They share a book that is built with an address.
PUBLISHED = ("pages/test_pages", "pages/test_book", "pages/test_security", "project/test_address")

# In the order in which they are begun, the heaviest first. The last of them takes what is left of
# the pages. Every other file is a group of its own; they come last, and fill what time is left.
GROUPS = {
    "pages": tuple(f"tests/{name}.py" for name in PUBLISHED),
    "colab": ("tests/chapters/test_colab.py",),
    "wheel": ("tests/project/test_wheel.py",),
    "jupyter": ("tests/chapters/test_player_lab.py",),
    "screens": ("tests/pages/",),
}


def group(nodeid: str) -> str:
    """The tests that one worker runs, one after the other."""
    file = nodeid.partition("::")[0]
    return next((name for name, parts in GROUPS.items() if file.startswith(parts)), file)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make times`."""
    parser.addoption("--times", action="store_true", help="write tests/README.md anew")


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """Write down what was guaranteed, and how long it took, if it was all and all held."""
    whole = config.args_source is config.ArgsSource.TESTPATHS and not config.option.keyword
    whole = whole and not hasattr(config, "workerinput")  # a worker has seen only its own part
    if config.getoption("--times") and whole and exitstatus == pytest.ExitCode.OK:
        reports = [r for kind in terminalreporter.stats.values() for r in kind]
        runs = [(r.nodeid, r.duration) for r in reports if isinstance(r, pytest.TestReport)]
        workers = config.getoption("numprocesses", None) or 1
        README.write_text(table(runs, time.monotonic() - BEGAN, workers), encoding="utf-8")


# The doctests of a callback need the library that calls it.
collect_ignore = [
    f"companion/integrations/{name}.py"
    for name in ("lightning", "transformers")
    if find_spec(name) is None
]


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A chapter is executed by nbval, in a way of its own."""
    if file_path.suffix != ".ipynb" or file_path.parent.name != "book":
        return None
    return Chapter.from_parent(parent, path=file_path)  # type: ignore[no-any-return]


def pytest_collection_finish() -> None:
    """What is there by now stays: else each collection of garbage looks through all of torch."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The heaviest groups first, then the chapters: what is short fits in at the end."""
    order = [*GROUPS]
    items.sort(
        key=lambda item: (
            order.index(name) if (name := group(item.nodeid)) in GROUPS else len(order),
            not item.nodeid.startswith("book/"),
        )
    )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """A group at a time to each worker. (`--dist loadgroup` marks are ignored by pytest 9.)"""
    from xdist.scheduler.loadscope import LoadScopeScheduling

    class Groups(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    config.option.loadscopereorder = False  # xdist's own order is by the number of tests
    return Groups(config, log)
