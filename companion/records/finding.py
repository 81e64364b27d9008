"""What a diagnosis says: one `Finding` for each mistake on each line.

How one is printed stands in `companion.render.finding`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from companion.records.cells import cell_of


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a loop, or may be.

    Attributes:
        rule: Which rule found it, such as "accumulates".
        certain: Whether the records prove it; if not, it is possible, and `settle` says what
            would settle it.
        file: The file's name, or "Cell In[3]" for a notebook cell.
        line: Number of the line, counted from 1.
        source: That line's statement, as written.
        observed: What was seen there, with its numbers.
        why: Why it matters, in one sentence.
        cure: Code that cures it; "" where no one cure is right for sure.
        settle: What would tell whether it is a mistake; None where that is certain.
        chapter: Page and section of the course that explains it.
        index: Index of the first record that shows it.
        times: How many records show it.

    Example:
        >>> import torch
        >>> from companion import trace
        >>> net = torch.nn.Linear(2, 1)
        >>> optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        >>> with trace(net, optimizer) as routine:
        ...     for _ in range(3):
        ...         net(torch.ones(4, 2)).square().mean().backward()
        ...         optimizer.step()
        >>> (finding,) = routine.diagnose()
        >>> finding.rule, finding.certain, finding.times
        ('accumulates', True, 2)
        >>> finding.cure
        'optimizer.zero_grad()  # once for every step, before backward()'
    """

    rule: str
    certain: bool
    file: str
    line: int
    source: str
    observed: str
    why: str
    cure: str
    settle: str | None
    chapter: str
    index: int
    times: int = 1

    @property
    def place(self) -> str:
        """Its line in words, such as "line 12"; of a notebook "cell 3, line 2"."""
        cell = cell_of(self.file)
        return f"line {self.line}" if cell is None else f"{cell[1]}, line {self.line}"

    def to_dict(self) -> dict[str, Any]:
        """Its attributes by name, ready for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}
