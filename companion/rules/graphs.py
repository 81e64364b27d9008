"""Graphs that live too long."""

from __future__ import annotations

from collections.abc import Iterator

from companion.ledger import Ledger
from companion.records import LineRecord
from companion.rules.table import Sighting, brief, retained, rule


@rule(
    "backward-twice",
    why="A graph is freed by its backward; something kept from the batch before leads into it.",
    cure="hidden = hidden.detach()  # at the start of every batch",
    section="graphs-that-live-too-long",
)
def backward_twice(ledger: Ledger) -> Iterator[Sighting]:
    """Backward through a graph that is freed raises."""
    for record in ledger.records:
        if record.raised and "backward through the graph a second time" in record.raised:
            yield Sighting(
                record,
                "it went through a graph that an earlier backward() had freed: "
                f"{brief(record.raised)}",
            )


@rule(
    "graph-grows",
    why="Each backward goes through the graphs of all batches before, slower every time.",
    cure="hidden = hidden.detach()  # and no retain_graph=True",
    section="graphs-that-live-too-long",
)
def graph_grows(ledger: Ledger) -> Iterator[Sighting]:
    """retain_graph=True, and the graph has more nodes at each backward."""
    lines: dict[tuple[str, int], list[LineRecord]] = {}
    for record, _ in ledger.of("backward"):
        if retained(record) is not None:
            lines.setdefault(record.place, []).append(record)
    for group in lines.values():
        # Several losses of one step share a graph; the last of them stands for the step.
        steps = list({record.step: record for record in group}.values())
        sizes = [retained(record) or (0, 0, 0) for record in steps]
        for i in range(1, len(steps)):
            grown = sizes[i][0] > sizes[i - 1][0] and sizes[i][1] <= sizes[i - 1][2]
            again = i > 1 and sizes[i - 1][0] > sizes[i - 2][0]
            if grown and (again or steps[i].raised):
                yield Sighting(
                    steps[i],
                    f"with retain_graph=True the graph went from {sizes[0][0]} nodes to "
                    f"{sizes[i][0]} in {i + 1} backward calls, and it reaches into that of the "
                    "call before" + (", and this one raised" if steps[i].raised else ""),
                )


@rule(
    "graph-kept",
    why="A loss that is kept as a tensor keeps its graph, and memory grows with every batch.",
    cure="total += loss.item()  # or loss.detach(), for a tensor",
    section="graphs-that-live-too-long",
)
def graph_kept(ledger: Ledger) -> Iterator[Sighting]:
    """A variable's graph, or a list of tensors with graphs, grows over the steps."""
    lengths: dict[tuple[str, int, str], list[int]] = {}
    last: dict[tuple[str, int, str], int] = {}
    backwards = [record.index for record, _ in ledger.of("backward")]
    for record, event in ledger.of("graph kept"):
        key = (*record.place, event.name)
        length, series = event.details["length"], lengths.setdefault(key, [])
        between = any(last.get(key, -1) < index <= record.index for index in backwards)
        if series and (length <= series[-1] or not between):
            series.clear()
        series.append(length)
        last[key] = record.index
        if len(series) >= 3:
            yield Sighting(
                record,
                f"{event.name} holds tensors with their graphs, and more of them at each step: "
                f"{series[0]}, then {series[1]}, now {length}",
                settle="whether it is emptied before long" if "append" in record.source else None,
            )
