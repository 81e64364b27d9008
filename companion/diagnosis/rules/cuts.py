"""Graphs that are cut for a part: one term of the loss, one layer; and layers that are dead."""

from __future__ import annotations

from collections.abc import Iterator

from companion.diagnosis.cut import Cut, cut_of
from companion.diagnosis.flow import Flow
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import GRADIENTS, STEPS, Sighting, at, rule, some
from companion.records.flow import reads
from companion.records.line import Event, LineRecord


@rule(
    "constant-term",
    why="To backward() a term without a graph is a constant: it moves the loss, not the training.",
    cure="loss = fit + weight * penalty  # the penalty computed of what has a graph",
    section=f"{GRADIENTS}#graphs-that-are-cut",
)
def constant_term(ledger: Ledger) -> Iterator[Sighting]:
    """One term of the loss has no graph, and was made of something that has one."""
    seen: dict[tuple[tuple[str, int], str], list[tuple[LineRecord, Event]]] = {}
    for record, event in ledger.of("constant term"):
        seen.setdefault((record.place, event.details["term"]), []).append((record, event))
    flow = Flow(ledger.records) if seen else None
    for (_, term), found in seen.items():
        numbers = {event.details["number"] for _, event in found}
        if len(found) < 2:
            continue
        same = len(numbers) == 1 and numbers != {""}
        for record, event in found:
            if flow is None or not _is_loss(ledger, record, event.name):
                continue
            cut = _cut_of_term(flow, record, term)
            if cut is None or (same and not cut.is_stepwise):
                continue  # the same each time: a constant on purpose
            number = event.details["number"]
            sure = cut.is_stepwise and not cut.is_on_purpose
            yield Sighting(
                cut.line,
                f"{term}{f' ({float(number):.4g})' if number else ''} is a term of {event.name} "
                f"({at(record)}) and has no graph: {cut.words}",
                settle=None
                if sure
                else f"whether {term} is in {event.name} only to be shown with it",
                cure=cut.cure,
            )


def _is_loss(ledger: Ledger, record: LineRecord, name: str) -> bool:
    """Whether the next backward begins at this variable, or at what has the same number."""
    own = next((v.number for v in record.values if v.name == name), None)
    for later in ledger.records[record.index :]:
        if any(event.kind == "backward" for event in later.events):
            names = reads(later.source)
            if later.function == record.function and name in names:
                return True
            numbers = (
                v.number
                for r in ledger.records[record.index : later.index]
                for v in r.values
                if v.name in names
            )
            return own is not None and own in numbers
    return False


def _cut_of_term(flow: Flow, record: LineRecord, term: str) -> Cut | None:
    for name in reads(term):
        found = flow.last(name, record)
        if found is None:
            continue
        line, value = found
        if value is not None and value.graph:
            return Cut(record, term, name)
        if value is not None and value.shape is None:
            continue
        if "parameters()" in line.source and value is not None:
            return Cut(line, name, "parameters")
        cut = cut_of(flow, line, name)
        if cut is not None:
            return cut if value is not None else Cut(record, term, cut.made_of, inside=True)
        for below, below_value in flow.inputs(line):
            nets = [e.name for e in below.events if e.kind == "forward" and e.details["grad"]]
            if below_value is None and nets and below is not line:
                return Cut(line, name, nets[-1], inside=True)
    return None


@rule(
    "cut-between",
    why="No gradient goes past the cut: what lies before it stays as it is, though an optimizer "
    "holds it.",
    cure="# no .detach(), .data, argmax or no_grad between the two",
    section=f"{GRADIENTS}#graphs-that-are-cut",
)
def cut_between(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters that take part and are held, and the graph is cut between them and the loss."""
    lost = _without_gradient(ledger)
    if not lost:
        return
    told: set[str] = set()
    flow = Flow(ledger.records)
    for record, _ in ledger.of("backward"):
        for _, line, value in flow.ancestors(record):
            if value is None or value.graph or value.shape is None:
                continue
            cut = cut_of(flow, line, value.name)
            names = [] if cut is None else _behind(flow, cut, lost)
            if cut is None or not names:
                continue
            told.update(names)
            holder = _holder(ledger, names)
            whole = all(set(u.held) <= set(lost) for u in ledger.uses if u.optimizer == holder)
            yield Sighting(
                line,
                f"{cut.words}; {some(names)} never got a gradient in "
                f"{len(ledger.backwards)} backward calls, and {holder} steps with them",
                settle=None
                if whole or (cut.is_stepwise and not cut.is_on_purpose)
                else "whether they are meant to stay as they are; then freeze them",
                cure=cut.cure,
            )
    for record, event in ledger.of("cut between"):
        last, into = event.name, event.details["into"]
        names = [name for name in lost if name.rpartition(".")[0] == last and name not in told]
        if names and any(_is_reached(ledger, name, into) for name in record.after.gradients):
            yield Sighting(
                record,
                f"{last} ran, and {into} after it was called with a tensor that has no graph; "
                f"{some(names)} never got a gradient in {len(ledger.backwards)} backward calls, "
                f"and {_holder(ledger, names)} steps with them",
                settle=f"whether {last} is meant to stay as it is; then freeze it",
                cure=f"# no .detach(), .data, argmax or no_grad between {last} and {into} in "
                "forward()",
            )


def _without_gradient(ledger: Ledger) -> list[str]:
    """Parameters that optimizers step with, and that never have a gradient."""
    uses = [use for use in ledger.uses if use.optimizer]
    if len(uses) < 2 or len(ledger.backwards) < 2:
        return []
    held = dict.fromkeys(name for use in uses for name in use.held)
    states = [s for record in ledger.records for s in (record.before, record.after)]
    held = {n: None for n in held if states[-1].requires_grad.get(n)}
    for gradients in {id(state.gradients): state.gradients for state in states}.values():
        held = {name: None for name in held if gradients.get(name) is None}
    moved = {name for record in ledger.records for name in record.changed_parameters}
    return [name for name in held if name not in moved]


def _behind(flow: Flow, cut: Cut, lost: list[str]) -> list[str]:
    """Those of the parameters that hang on what was cut off."""
    for _, value in flow.inputs(cut.line):
        if value is not None and value.graph and value.unreached is not None:
            return [name for name in lost if name not in value.unreached]
    if cut.graded and any(event.name == cut.made_of for event in cut.line.events):
        return [name for name in lost if name.startswith(f"{cut.made_of}.")]
    return []


def _holder(ledger: Ledger, names: list[str]) -> str:
    return next((u.optimizer for u in ledger.uses if u.optimizer and names[0] in u.held), "")


def _is_reached(ledger: Ledger, name: str, layer: str) -> bool:
    return name.rpartition(".")[0] == layer and any(name in b.written for b in ledger.backwards)


@rule(
    "dead-layer",
    why="A ReLU that gives 0 for every input has the slope 0 everywhere: what lies before it gets "
    "no gradient, and cannot come back.",
    cure="nn.LeakyReLU()  # in place of nn.ReLU(); or a smaller lr, or torch's own initial values",
    section=f"{STEPS}#gradients-that-explode",
)
def dead_layer(ledger: Ledger) -> Iterator[Sighting]:
    """What follows a layer gets nothing but zeros, and its gradients are 0 at every step."""
    seen: dict[str, list[tuple[LineRecord, Event]]] = {}
    for record, event in ledger.of("all zero"):
        seen.setdefault(event.name, []).append((record, event))
    steps = [use for use in ledger.uses if use.record.changed_parameters]
    for layer, found in seen.items():
        if len({record.step for record, _ in found}) < 2 or len(steps) < 2:
            continue
        readings = [
            reading
            for record, _ in ledger.of("backward")
            for name, reading in record.after.gradients.items()
            if name.rpartition(".")[0] == layer and reading is not None
        ]
        if not readings or any(reading.norm for reading in readings):
            continue
        record, event = found[0]
        name = layer or "the first layer"
        yield Sighting(
            record,
            f"after {name} all {event.details['entries']} numbers that {event.details['into']} "
            f"was given were 0, in {len(found)} forwards; at every backward() the gradients of "
            f"{name} were exactly 0",
        )
