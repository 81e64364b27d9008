"""Execute every chapter in place: `make notebooks`. A second run leaves no diff.

Each runs in an empty folder, as it would for a reader who has nothing but that one notebook.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

BOOK = Path(__file__).parents[1] / "book"
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def run(notebook: NotebookNode) -> NotebookNode:
    """Execute all cells of a notebook, from top to bottom in a fresh kernel, and return it."""
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            resources={"metadata": {"path": empty}},
            extra_arguments=["--IPKernelApp.log_level=ERROR"],
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute()
    return notebook


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Leave nothing in the notebook that depends on the machine it ran on."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":  # frames inside a library name its path: leave them
                output.traceback = [f for f in output.traceback if not re.match("File ", _plain(f))]
    return notebook


def _plain(text: str) -> str:
    return ANSI.sub("", text)


def main() -> None:
    """Execute the notebooks named on the command line, or all chapters."""
    for path in [Path(name) for name in sys.argv[1:]] or sorted(BOOK.glob("*.ipynb")):
        began = time.perf_counter()
        print(f"{path.name} ...", end=" ", flush=True)
        notebook = tidy(run(nbformat.read(path, as_version=4)))
        nbformat.write(notebook, path)
        print(f"{time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
