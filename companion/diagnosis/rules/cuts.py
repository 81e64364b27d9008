"""Graphs that are cut for a part: one term of the loss, one layer; and layers that are dead."""

from __future__ import annotations

from collections.abc import Iterator

from companion.diagnosis.backwards import Use
from companion.diagnosis.cut import Cut, cut_of, is_stepwise, networks_of, parts_of, without_graph
from companion.diagnosis.flow import Flow
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.holders import empty_steps
from companion.diagnosis.rules.table import PAGE, Sighting, at, rule, some
from companion.records.flow import reads
from companion.records.line import Event, LineRecord
from companion.records.value import Value

_MOST = 5  # lines that are gone back through for a term
_MOST_TIMES = 50  # that the same is looked into: a long trace has many steps


@rule(
    "constant-term",
    why="To backward() a term without a graph is a constant: it moves the loss, not the training.",
    cure="loss = fit + weight * penalty  # the penalty computed of what has a graph",
    section=f"{PAGE}#constant-term",
)
def constant_term(ledger: Ledger) -> Iterator[Sighting]:
    """One term of the loss has no graph, and was made of something that has one."""
    seen: dict[tuple[tuple[str, int], str], list[tuple[LineRecord, Event]]] = {}
    for record, event in ledger.of("constant term"):
        seen.setdefault((record.place, event.details["term"]), []).append((record, event))
    flow = ledger.flow
    told = {one.record.place for one in cut_between(ledger)} if seen else set()
    for (_, term), found in seen.items():
        numbers = {event.details["amount"] for _, event in found}
        if len(found) < 2:
            continue
        same = len(numbers) == 1 and numbers != {""}
        for record, event in found[:_MOST_TIMES]:
            if not _is_loss(ledger, record, event.name):
                continue
            cut = _cut_of_term(flow, record, term)
            if cut is None or (same and not cut.is_stepwise) or cut.line.place in told:
                continue  # the same each time: a constant on purpose
            is_product = any(sign in term for sign in "*/-")  # then it is one factor's number
            number = "" if is_product else event.details["amount"]
            whole = event.name or "what is returned"
            sure = cut.is_stepwise and not cut.is_on_purpose
            of = f"it was made of {cut.made_of}, which has one"
            yield Sighting(
                cut.line,
                f"{term}{f' ({float(number):.4g})' if number else ''} is a term of {whole} "
                f"({at(record)}) and has no graph: {of if cut.line is record else cut.words}",
                settle=None if sure else f"whether {term} is in {whole} only to be shown with it",
                cure=cut.cure,
            )


def _is_loss(ledger: Ledger, record: LineRecord, name: str) -> bool:
    """Whether the next backward begins at this variable, or at what has the same number."""
    ahead = (one for one, _ in ledger.of("backward") if one.index >= record.index)
    backward = next(ahead, record)
    if backward.phase is not None:  # a library's, of what it was returned
        return any(line is record for _, line, _ in ledger.flow.ancestors(backward))
    if not name:  # it is what a function returns
        above = (r for r in ledger.records[record.index :] if r.depth < record.depth)
        line = next(above, None)
        if line is None or any(event.kind == "backward" for event in line.events):
            return line is not None
        return any(_is_loss(ledger, line, value.name) for value in line.values)
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
        nets = networks_of(line)
        if value is None:  # such as outputs["penalty"]
            if nets:
                return Cut(record, term, nets[-1], inside=True)
        elif value.graph:
            if is_stepwise(term):
                return Cut(record, term, name)
        elif value.shape is not None:
            cut = _cut_above(flow, record, line, name)
            if cut is not None:
                return cut
    return None


def _cut_above(flow: Flow, record: LineRecord, line: LineRecord, name: str) -> Cut | None:
    """The cut at a line that bound a term without a graph, or at one that it was made of."""
    if "parameters()" in line.source:
        return Cut(line, name, "parameters")
    if line.source.endswith(".detach()"):
        return None  # a term that is detached itself, and no more: that is meant
    lines = [(line, name)]
    for one, bound in lines:
        cut = cut_of(flow, one, bound)
        if cut is not None:
            return cut
        for below, value in flow.inputs(one):
            nets = networks_of(below)
            if value is None and nets and below is not one:
                return Cut(one, bound, nets[-1], inside=True)
            if value is not None and value.shape is not None and not value.graph:
                readers = {r.index for r, at, _ in flow.ancestors(record) if at is below}
                if len(readers) == 1 and len(lines) < _MOST:  # it serves this term alone
                    lines.append((below, value.name))
    return None


@rule(
    "cut-between",
    why="No gradient goes past the cut: what lies before it stays as it is, though an optimizer "
    "holds it.",
    cure="# no .detach(), .data, argmax or no_grad between the two",
    section=f"{PAGE}#cut-between",
)
def cut_between(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters that take part and are held, and the graph is cut between them and the loss."""
    lost = _without_gradient(ledger)
    if not lost:
        return
    told: set[str] = set()
    flow, copies = ledger.flow, _copies(ledger, lost)
    made_for = {optimizer for _, optimizer in empty_steps(ledger)}
    for use in ledger.uses[:_MOST_TIMES]:
        mine = [name for name in lost if name in use.held]
        before = reversed(_backwards_for(ledger, use))
        cuts = (list(_cuts(flow, record, mine, copies)) for record in before)
        for cut, names in next(filter(None, cuts), []):
            told.update(names)
            holder = _holder(ledger, names)
            whole = all(set(u.held) <= set(lost) for u in ledger.uses if u.optimizer == holder)
            if whole and cut.is_on_purpose and holder not in made_for:
                continue  # it steps along with others: detached while they warm up
            yield Sighting(
                cut.line,
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


def _backwards_for(ledger: Ledger, use: Use) -> list[LineRecord]:
    """The backward calls that a step follows: those after the last step of any optimizer.

    Where there are none, all stepped one after the other: those since this one's own last step.
    """
    index = use.record.index
    lines = [record for record, _ in ledger.of("backward") if record.index <= index]
    earlier = [u for u in ledger.uses if u.record.index < index]
    last = max((u.record.index for u in earlier), default=-1)
    own = max((u.record.index for u in earlier if u.optimizer == use.optimizer), default=-1)
    near = [line for line in lines if line.index > last]
    return near or [line for line in lines if line.index > own]


def _cuts(
    flow: Flow, backward: LineRecord, lost: list[str], copies: set[str]
) -> Iterator[tuple[Cut, list[str]]]:
    """The cuts before a backward, each with those of the parameters that hang on what it cut off.

    What has no graph and was made of what has one; or the text cuts in passing: `dec(z.detach())`.
    """
    ancestors = flow.ancestors(backward)
    for reader, line, value in ancestors:
        if value is None:
            continue
        if value.graph:
            names = _reached(value, lost)
            over = [v for v in reader.values if v.unreached is not None or not v.graph]
            if over:
                names = [n for n in names if all(n in (v.unreached or lost) for v in over)]
            cut = Cut(reader, None, value.name, inline=True)
            if names and cut.is_worded:
                yield cut, names
        elif value.shape is not None:
            for _, below in flow.inputs(line):
                if below is not None and below.graph:
                    names = _reached(below, lost)
                    if names:
                        yield Cut(line, value.name, below.name), names
    for line in {id(one): one for one in [backward, *(line for _, line, _ in ancestors)]}.values():
        nets = [(net, net) for net in networks_of(line)]
        for net, prefix in [*nets, *parts_of(line)]:
            names = [name for name in lost if name.startswith(f"{prefix}.")]
            cut = Cut(line, None, net, inline=True)
            if names and cut.is_worded and (net == prefix or copies.isdisjoint(names)):
                yield cut, names
        for net in without_graph(line):
            names = [name for name in lost if name.startswith(f"{net}.")]
            if names and copies.isdisjoint(names) and flow.is_always_off(line):
                what = next((value.name for value in line.values), None)
                yield Cut(line, what, net, graded=False), names


def _copies(ledger: Ledger, lost: list[str]) -> set[str]:
    """Those that began as copies of what learns: a target's, which is cut off on purpose."""
    first = ledger.records[0].before.parameters
    learning = {first.get(name) for one in ledger.backwards for name in one.written}
    return {n for n in lost if (own := first.get(n)) and own.norm and own in learning}


def _reached(value: Value, lost: list[str]) -> list[str]:
    """Those that a backward from a value would reach."""
    return [] if value.unreached is None else [n for n in lost if n not in value.unreached]


def _holder(ledger: Ledger, names: list[str]) -> str:
    return next((u.optimizer for u in ledger.uses if u.optimizer and names[0] in u.held), "")


def _is_reached(ledger: Ledger, name: str, layer: str) -> bool:
    return name.rpartition(".")[0] == layer and any(name in b.written for b in ledger.backwards)


@rule(
    "dead-layer",
    why="A ReLU that gives 0 for every input has the slope 0 everywhere: what lies before it gets "
    "no gradient, and cannot come back.",
    cure="nn.LeakyReLU()  # in place of nn.ReLU(); or a smaller lr, or torch's own initial values",
    section=f"{PAGE}#dead-layer",
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
        name = f"layer {layer}" if layer else "the first layer"
        yield Sighting(
            record,
            f"after {name} all {event.details['entries']} numbers that layer "
            f"{event.details['into']} was given were 0, in {len(found)} forwards; at every "
            f"backward() the gradients of {name} were exactly 0",
        )
