"""Which line cut a graph: it has none, and what it read had one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from companion.diagnosis.flow import Flow
from companion.records.flow import called
from companion.records.line import LineRecord

_STEPS = ("argmax", "argmin", "argsort", "topk", "round", "sign(", "floor", "ceil", "multinomial",
          "==", "!=", " > ", " < ", " >= ", " <= ", ".long()", ".int()", ".bool()")  # fmt: skip
_WORDS = re.compile(
    r"\.detach\(\)|\.data\b|\.item\(\)|\.tolist\(\)|\.numpy\(\)|\.cpu\(\)\.numpy\(\)"
)

_CHOICE = re.compile(r"\b(max|min|sort)\(.*\)(\[1\]|\.indices)|^_, *\w+ *= .*\b(max|min|sort)\(")


@dataclass(frozen=True)
class Cut:
    """A line that bound something without a graph, made of something with one.

    Attributes:
        line: The line.
        name: What it bound; None where a function returned it.
        made_of: What had a graph: a variable, or a network.
        graded: Whether gradients were enabled in the network's forward there.
        inside: Whether the network's forward itself gave what has no graph.
        inline: Whether the line goes on with what it has cut off.
    """

    line: LineRecord
    name: str | None
    made_of: str
    graded: bool = True
    inside: bool = False
    inline: bool = False

    @property
    def words(self) -> str:
        """Such as "line 9 made y of scores, which has a graph, and y has none"."""
        what = self.name or "what it returned"
        if not self.graded:
            return (
                f"line {self.line.line} called {self.made_of} where gradients were off, so {what} "
                "has no graph"
            )
        if self.inline:
            return f"line {self.line.line} cut {self.made_of} off from what is made of it"
        of = f"what {self.made_of} returned" if self.inside else self.made_of
        return f"line {self.line.line} made {what} of {of}, and {what} has no graph"

    @property
    def is_on_purpose(self) -> bool:
        """Whether the text says that no gradient is to go through."""
        return "detach" in self.line.source or not self.graded

    @property
    def is_worded(self) -> bool:
        """Whether the text itself has what cuts a graph."""
        return self.is_stepwise or bool(_WORDS.search(self.line.source))

    @property
    def is_stepwise(self) -> bool:
        """Whether the text has an operation that has no gradient."""
        return is_stepwise(self.line.source)

    @property
    def cure(self) -> str:
        """What brings the graph back."""
        source = self.line.source
        short = "\n" not in source and len(source) <= 90
        if not self.graded:
            if source.startswith("with "):
                return f"# {self.made_of} called outside of torch.no_grad()"
            return f"{source if short else '...'}  # outside of torch.no_grad()"
        copies = bool(re.search(r"\b(tensor|as_tensor|from_numpy|float|int)\(", source))
        if _WORDS.search(source) and short and not copies:
            return _WORDS.sub("", source)
        if self.inside:
            return f"# in {self.made_of}'s forward(): no .detach(), .data or no_grad on the way"
        if self.is_stepwise:
            is_network = self.made_of in networks_of(self.line)
            of = f"{self.made_of}'s outputs" if is_network else f"{self.made_of} itself"
            return f"# a loss of {of}, not of what is counted, compared or chosen"
        if copies:
            return "# no torch.tensor(...) or float(...) of what has a graph: use it as it is"
        return f"# no .detach(), .data, .item() or no_grad between {self.made_of} and the loss"


def is_stepwise(text: str) -> bool:
    """Whether it counts, compares or chooses."""
    return any(word in text for word in _STEPS) or bool(_CHOICE.search(text))


def cut_before(flow: Flow, record: LineRecord) -> Cut | None:
    """The cut nearest before a line, of what the line reads."""
    for _, line, value in flow.ancestors(record):
        if value is not None and value.graph:
            continue
        cut = cut_of(flow, line, None if value is None else value.name)
        if cut is not None:
            return cut
    return None


def cut_of(flow: Flow, line: LineRecord, name: str | None) -> Cut | None:
    """Whether a line that bound something without a graph cut it there."""
    for _, value in flow.inputs(line):
        if value is not None and value.graph:
            return Cut(line, name, value.name)
    for event in line.events:
        if event.kind == "forward" and _is_trained(line, event.name):
            return Cut(line, name, event.name, event.details["grad"])
    return None


def networks_of(line: LineRecord) -> list[str]:
    """The networks to be trained that a line called with gradients enabled."""
    return [
        event.name
        for event in line.events
        if event.kind == "forward" and event.details["grad"] and _is_trained(line, event.name)
    ]


def without_graph(line: LineRecord) -> list[str]:
    """The networks to be trained that a line called where gradients were off."""
    return [
        event.name
        for event in line.events
        if event.kind == "forward" and not event.details["grad"] and _is_trained(line, event.name)
    ]


def parts_of(line: LineRecord) -> Iterator[tuple[str, str]]:
    """What a line calls as an attribute, and the names that a part of a network may have for it.

    Of `self.model.encoder(x)` these are "model.encoder" and "encoder".
    """
    for name in called(line.source):
        parts = name.split(".")
        for start in range(1, len(parts)):
            yield name, ".".join(parts[start:])


def _is_trained(line: LineRecord, network: str) -> bool:
    """Whether any parameter of the network requires a gradient."""
    wanted = line.before.requires_grad
    own = [name for name in wanted if name.startswith(f"{network}.")] or wanted
    return any(wanted[name] for name in own)
