"""The trace: what was seen, and every way to look at it."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from companion.diagnosis.diagnose import diagnose
from companion.diagnosis.ignored import parted
from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.loading import load
from companion.records.saving import save
from companion.records.visible import encodable, visible
from companion.render.player.fragment import Player, player
from companion.render.rows import rows
from companion.render.terminal import columns_of
from companion.render.text import text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Trace:
    """What a `trace` saw: its records, and views of them. It can be read while it still grows.

    `trace` makes one, and `Trace.load`; you need not.

    `print` shows your lines and what each of them changed, below each line where a terminal is too
    narrow for columns. In a notebook the trace itself, as the last line of a cell, is shown as the
    player; where nothing of a page is shown, as in IPython or an export as text, as `print` does.

    Attributes:
        network (str): The class name of the traced network; of several, their own names.
        unwatched (list[str]): What was not looked at, and why: a sentence for each; usually none.
        guard (list[str]): What was seen after the watched steps, when the block is over.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> with trace(net, optimizer) as routine:
        ...     optimizer.zero_grad()
        ...     net(torch.ones(4, 2)).mean().backward()
        ...     optimizer.step()
        >>> routine
        <Trace of Linear: 3 lines>
        >>> routine.records[-1].changed_parameters
        ('weight', 'bias')
    """

    def __init__(
        self,
        network: str,
        records: list[LineRecord] | None = None,
        unwatched: list[str] | None = None,
        guard: list[str] | None = None,
    ) -> None:
        self.network = network
        self.unwatched = [] if unwatched is None else unwatched
        self.guard = [] if guard is None else guard
        self._records = [] if records is None else records  # and may grow

    @property
    def records(self) -> tuple[LineRecord, ...]:
        """One for each executed line, or call that shares it, in the order of execution."""
        return tuple(self._records)

    def diagnose(self) -> list[Finding]:
        """What is wrong, or may be: findings, worst first; none for a loop that is right.

        A finding is certain, or says that it is only possible and what would settle it. What
        cannot be told from the records is not guessed at; `companion.diagnosis` lists it. A
        comment `# companion: ignore[accumulates]` on a line accepts that finding there, and
        `# companion: ignore` all: they stand in `ignored` instead.

        Example:
            >>> import torch
            >>> from companion import trace
            >>> net = torch.nn.Linear(2, 1)
            >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            >>> with trace(net, optimizer) as routine:
            ...     for _ in range(3):
            ...         loss = net(torch.ones(4, 2)).square().mean()
            ...         loss.backward()
            ...         optimizer.step()
            >>> [(finding.rule, finding.source) for finding in routine.diagnose()]
            [('accumulates', 'loss.backward()')]
        """
        return parted(diagnose(self.records))[0]

    @property
    def ignored(self) -> list[Finding]:
        """The findings that a comment on their line accepts."""
        return parted(diagnose(self.records))[1]

    def to_rows(self) -> list[dict[str, Any]]:
        """Flat dicts for pandas.DataFrame or csv.DictWriter.

        One for each line and parameter, for each line and buffer, and for each variable that a
        line bound; their kind says which. Keys: index, step, file, line, function, depth, source,
        raised, phase (a library's function, where it runs the loop; else ""), events,
        kind ("parameter", "buffer", "value", "other": of a network that only takes
        part), parameter (the name of any of them),
        layer, requires_grad, then for the gradient and for the parameter or buffer after the line:
        changed (bool), sum, norm, nonfinite (None where there is none); and of a variable value (a
        number), value_dtype, value_shape, value_nonfinite and reached, the number of parameters
        that its graph reaches. All values are numbers, texts, booleans or None; the sum of a
        complex tensor is complex. Texts are as they were recorded:
        of a stranger's trace, a spreadsheet may take one that begins with "=" for a formula.
        """
        return rows(self._records)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the trace into a JSON file, which `Trace.load` reads on any machine.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OSError: If the file cannot be written.
        """
        save(path, self.network, self._records)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote. Nothing in the file is ever executed.

        A trace from a stranger can be looked at: whatever loads, each view can show. `print`,
        `plot` and the player write out control characters, such as those a terminal obeys, and
        take names and code for text. Only its size is the stranger's choice: a large file takes
        as much time and memory as a large trace of your own.

        Args:
            path: The file.

        Returns:
            A trace equal to the saved one; it can no longer grow.

        Raises:
            OSError: If the file cannot be read.
            ValueError: If it is no saved trace; the message says what is wrong with it.

        Example:
            >>> import os, tempfile
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     path = os.path.join(folder, "routine.json")
            ...     Trace("Net").save(path)
            ...     Trace.load(path)
            <Trace of Net: 0 lines>
        """
        return Trace(*load(path))

    def plot(
        self,
        what: Literal["gradients", "parameters"] | None = None,
        *,
        value: Literal["sum", "norm"] = "sum",
        layers: Sequence[str] | str | None = None,
    ) -> Figure:
        """The two diagrams of the training routine: what each layer holds after each line.

        Above, the sum of every layer's gradient; below, the sum of its parameters. The row before
        the first line is what was there on entering. A cell that its line changed is filled and
        framed. None is written as None, unlike 0; "≈ 0" is a sum of entries that cancel. Above
        both stand the losses: the numbers that lines bound and a backward can begin at, of more
        than four the first, a curve, and the last.

        Args:
            what: "gradients" or "parameters" for one of the two diagrams; both by default.
            value: "sum", or "norm" for the L2 norms.
            layers: Names of the layers to draw, in this order; all of them by default.

        Returns:
            A matplotlib figure. As the last line of a notebook cell it is shown once; elsewhere
            use `plt.show()` or `.savefig(...)`.

        Raises:
            ImportError: If matplotlib is missing; it comes with the extra "plot".
            ValueError: If nothing was recorded, a layer's name is not in the trace, `what` or
                `value` is none of the above, or the figure would be larger than matplotlib
                can draw (about 1100 lines).
        """
        from companion.render.figure import figure  # only here: it needs the extra

        return figure(self._records, what, value=value, layers=layers)

    def play(self, *, predict: bool = False, layers: Sequence[str] | str | None = None) -> Player:
        """The player: step through the lines, and see what every layer holds after each.

        A notebook shows it where it ends a cell, as it does for the trace itself; elsewhere
        `.save("loop.html")` writes it as a page. It needs no network and no kernel. Where
        scripts are stripped it is a complete table. A trace of more than 60 lines is cut to its
        first and last ones and those around each finding; a network of many layers to fewer.

        Args:
            predict: Ask before each line what it will change, then show it.
            layers: Names of the layers to show, in this order; by default all of them, or of
                more than 32 the first and last 16.

        Returns:
            The player, with `save`.

        Raises:
            ValueError: If a layer's name is not in the trace.

        Example:
            >>> import torch
            >>> from companion import trace
            >>> net = torch.nn.Linear(2, 1)
            >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
            >>> with trace(net, optimizer) as routine:
            ...     net(torch.ones(4, 2)).sum().backward()
            >>> routine.play(predict=True)
            <Player: Trace of Linear, 2 parameters>
        """
        return player(
            self.records,
            network=self.network,
            findings=self.diagnose(),
            predict=predict,
            layers=layers,
        )

    def _repr_html_(self) -> str:
        return self.play().html

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows, and a notebook keeps beside the player; short inside of a list."""
        lines = [repr(self)] if cycle or len(printer.stack) > 1 else str(self).splitlines()
        for at, line in enumerate(lines):
            if at:
                printer.break_()
            printer.text(line)

    def __str__(self) -> str:
        return in_words(self, columns_of(getattr(sys, "stdout", None)))

    def __repr__(self) -> str:
        return f"<Trace of {visible(self.network)}: {len(self._records)} lines>"


def in_words(trace: Trace, width: int | None) -> str:
    """What `print` shows of a trace, where there are so many columns."""
    findings, ignored = parted(diagnose(trace.records))
    whole = text(
        trace.records,
        network=trace.network,
        findings=findings,
        unwatched=trace.unwatched,
        guard=trace.guard,
        ignored=ignored,
        width=width,
    )
    return encodable(whole, getattr(sys.stdout, "encoding", None))  # a file of cp1252 lacks →
