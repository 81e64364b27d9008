"""nbval, as it executes a chapter here: once, in an empty folder, and with its exercises answered.

After the last cell come, for each exercise, wrong and right answers (`answers`), the chapter's own
solution as the last, and after each the check, all in the same kernel. That every output is
compared as `outputs` says is done where nbval asks for it, in `sanitize`.
"""

from __future__ import annotations

from collections.abc import Iterator
from tempfile import TemporaryDirectory

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_output
from nbval.plugin import IPyNbCell, IPyNbFile

from tests.chapters.answers import answers
from tests.chapters.exercises import solutions, tagged
from tests.chapters.kernels import kernel
from tests.chapters.outputs import Output


class Cell(IPyNbCell):  # type: ignore[misc]
    """A cell, whose stored outputs know what is the same as they are."""

    def sanitize(self, value: object) -> object:
        """nbval compares with `!=`."""
        return Output(value) if isinstance(value, str) else value


class Beginning(Cell):
    """A cell of which only the first words are known."""

    def sanitize(self, value: object) -> object:
        """As many letters as are known."""
        known = self.cell.outputs[0].text
        return value[: len(known)] if isinstance(value, str) else value


class Chapter(IPyNbFile):  # type: ignore[misc]
    """A notebook, executed as it would be for a reader who has nothing but that one file."""

    def setup(self) -> None:
        """Start the kernel."""
        self.empty = TemporaryDirectory()
        timeout = self.config.option.nbval_kernel_startup_timeout
        self.kernel = kernel(self.empty.name, timeout)
        self.setup_sanitize_files()

    def teardown(self) -> None:
        """Stop it."""
        super().teardown()
        self.empty.cleanup()

    def collect(self) -> Iterator[IPyNbCell]:
        """The chapter's cells, then the answers to its exercises."""
        last = -1
        for cell in super().collect():
            last = cell.cell_num
            made = Cell.from_parent(
                self, name=cell.name, cell_num=last, cell=cell.cell, options=cell.options
            )
            yield made
        for number, (name, cell) in enumerate(self.answered(), last + 1):
            kind = Beginning if name.endswith("wrongly, checked") else Cell
            options = {"check": True, "check_exception": False, "skip": False}
            yield kind.from_parent(self, name=name, cell_num=number, cell=cell, options=options)

    def answered(self) -> Iterator[tuple[str, NotebookNode]]:
        """What is executed for each exercise, and its name."""
        checks, given = [*tagged(self.nb, "check")], answers(self.path.stem)
        solved = zip(checks, solutions(self.nb), strict=True)
        # As a reader comes to them: nothing has run but the cells above and the solutions before.
        for number, (check, solution) in enumerate(solved, 1):
            yield from tried(f"Exercise {number}", check, solution, "correct\n", "solution")
        for number, (check, one) in enumerate(zip(checks, given, strict=True), 1):
            expected = [(code, f"not yet: {hint}", "wrongly") for code, hint in one.wrong.items()]
            expected += [(code, "correct\n", "rightly") for code in one.right]
            for count, (code, verdict, how) in enumerate(expected, 1):
                yield from tried(
                    f"Exercise {number}", check, code, verdict, f"answer {count}, {how}"
                )


def tried(
    exercise: str, check: NotebookNode, code: str, verdict: str, name: str
) -> Iterator[tuple[str, NotebookNode]]:
    """An answer, and then the check of its exercise with the verdict that it must print."""
    yield f"{exercise}, {name}", new_code_cell(code)
    shown = new_output("stream", text=f"{exercise}: {verdict}")
    # Any count will do: nbval compares the outputs of a cell that has one.
    checked = new_code_cell(check.source, outputs=[shown], execution_count=1)
    yield f"{exercise}, {name}, checked", checked
