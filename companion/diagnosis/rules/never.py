"""Nothing was trained: no backward, no step, no batch, or a method that was only named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.evidence import has_gradient, reads_gradients
from companion.diagnosis.rules.origins import how_many, origin
from companion.diagnosis.rules.table import PAGE, STEPS, Sighting, at, rule, some
from companion.diagnosis.words import statement
from companion.records.line import LineRecord
from companion.records.statements import uncommented
from companion.records.times import times

NOWHERE = f"{STEPS}#parameters-nobody-moves"


@rule(
    "not-called",
    why="Without parentheses a method is named, and nothing is done.",
    cure="loss.backward()",
    section=f"{PAGE}#not-called",
)
def not_called(ledger: Ledger) -> Iterator[Sighting]:
    """`loss.backward`, `optimizer.step`: a line that only names what it should call."""
    for record, event in ledger.of("not called"):
        yield Sighting(
            record,
            f"it names {event.name}, a method of this {event.details['of']}, and does not call it",
            cure=f"{event.name}()",
        )


@rule(
    "never-steps",
    why="backward() only computes gradients; the parameters are moved by step().",
    cure="loss.backward()\noptimizer.step()",
    section=f"{PAGE}#never-steps",
)
def never_steps(ledger: Ledger) -> Iterator[Sighting]:
    """A script computes gradients for an optimizer, clears them, and no step ever follows."""
    ends = [event for _, event in ledger.of("end")]
    if any(True for _ in ledger.of("scaler step")) or reads_gradients(ledger):
        return
    total = sum(end.details["steps"] for end in ends) + (ends[0].details["others"] if ends else 0)
    for end in ends:
        held = set(end.details["held"])
        if end.details["steps"] or end.details["written"] or 0 < total < 6:
            continue
        if any(not held.isdisjoint(record.changed_parameters) for record in ledger.records):
            continue
        clears = [r for r, event in ledger.of("clear") if event.name == end.name]
        own = [b for b in ledger.backwards if not b.written.isdisjoint(held)]
        if total:  # of several optimizers it is this one: then the backward is its own
            own = [one for one in own if one.discarded_by in clears]
            if not all(one.wasted for one in own):
                continue
        places = Counter(one.record.place for one in own)
        if not clears or not own or max(places.values()) < 2:
            continue
        last = own[-1].record
        elsewhere = f", while others made {total}" if total else ""
        yield Sighting(
            last,
            f"backward() ran {times(len(own))} here, {at(clears[-1])} cleared what it had "
            f"computed, and {end.name} made no step in the whole script{elsewhere}: none of its "
            f"{len(held)} parameters was moved",
            cure=f"{uncommented(last.source)}\n{end.name}.step()",
        )


@rule(
    "no-batch",
    why="A loop without a pass trains nothing, and says nothing of it.",
    cure="print(len(loader.dataset), len(loader))  # examples, and batches",
    section=f"{PAGE}#no-batch",
)
def no_batch(ledger: Ledger) -> Iterator[Sighting]:
    """A script trains in a loop over a DataLoader that gives nothing."""
    if ledger.backwards or ledger.uses:
        return
    for record, event in ledger.of("no batch"):
        size, began = event.details.get("size"), times(event.details["times"])
        name = event.name or "loader"
        drop = ""
        if size and event.details.get("drop"):
            drop = f"; drop_last=True leaves out a last batch of fewer than {size} examples"
        yield Sighting(
            record,
            f"the loop began {began}, and its DataLoader gave no batch: nothing was trained{drop}",
            cure=f"print(len({name}.dataset), len({name}))  # examples, and batches",
        )


@rule(
    "used-up",
    why="An iterator gives each item once: from the second epoch on there is no batch.",
    cure="batches = list(batches)  # before the first epoch",
    section=f"{PAGE}#used-up",
)
def used_up(ledger: Ledger) -> Iterator[Sighting]:
    """A loop over a zip, a map, a generator, in a loop over epochs that comes back to it."""
    backwards = [one.record.index for one in ledger.backwards]
    seen = set()
    for record, event in ledger.of("used up"):
        if record.place in seen or not any(index > record.index for index in backwards):
            continue
        seen.add(record.place)
        name, kind = event.name, event.details["kind"]
        yield Sighting(
            record,
            f"{name}, a {kind}, can be gone through once, and the loop on line "
            f"{event.details['outer']} comes back to it {times(event.details['times'] - 1)}: then "
            "it is empty, and nothing is trained",
            cure=f"{name} = list({name})  # before line {event.details['outer']}",
        )


@rule(
    "all-skipped",
    why="GradScaler skips a step whose gradients have NaN or infinity in them.",
    cure="with torch.autograd.detect_anomaly():  # names the operation that gives the first NaN\n"
    "    scaler.scale(loss).backward()",
    section=f"{PAGE}#all-skipped",
)
def all_skipped(ledger: Ledger) -> Iterator[Sighting]:
    """A GradScaler skipped every step of a script."""
    ends = [event for _, event in ledger.of("end")]
    tried = [record for record, _ in ledger.of("scaler step")]
    if not ends or len(tried) < 3 or any(e.details["steps"] or e.details["others"] for e in ends):
        return
    if any(record.changed_parameters for record in ledger.records):
        return
    first, last = tried[0], tried[-1]
    bad = [name for name, one in last.before.gradients.items() if one is not None and one.nonfinite]
    scale = "" if last.before.scale is None else f" (the scale was {last.before.scale:g} by then)"
    what = f", the last for NaN or infinity in the gradients of {some(bad)}{scale}" if bad else ""
    cause, cure = _before_the_backward(ledger, last)
    yield Sighting(
        first,
        f"all {len(tried)} steps were skipped{what}; {cause}the script is over, and no parameter "
        "was moved",
        settle=None
        if len(tried) >= 5
        else "whether the script is only this short to try it out: a scale that is too large is "
        "halved at each skipped step",
        cure=cure,
    )


def _before_the_backward(ledger: Ledger, step: LineRecord) -> tuple[str, str | None]:
    """The line that bound the first value with NaN or infinity for the last step, if one did."""
    backward = next(
        (r for r, _ in reversed([*ledger.of("backward")]) if r.index < step.index), None
    )
    found = None if backward is None else origin(ledger.flow, backward)
    if found is None:
        source = statement(backward)
        anomaly = "with torch.autograd.detect_anomaly():  # names the operation of the first NaN"
        return "", None if source is None else f"{anomaly}\n    {source}"
    line, value = found
    return (
        f"{how_many(value)} by {at(line)}, before any backward; ",
        f"assert {value.name}.isfinite().all()  # after {at(line)}: then what it is made of",
    )


@rule(
    "no-backward",
    why="step() skips every parameter whose gradient is None.",
    cure="loss.backward()\noptimizer.step()",
    section=f"{PAGE}#no-backward",
)
def no_backward(ledger: Ledger) -> Iterator[Sighting]:
    """Forward and step, and no gradient was ever computed."""
    uses = [use for use in ledger.uses if use.held]
    changed = any(r.changed_parameters or r.changed_gradients for r in ledger.records)
    if changed or any(True for _ in ledger.of("backward")):
        return
    ends = [e.details for _, e in ledger.of("end")]
    some_found = any(e["others"] or e["steps"] > e["without"] for e in ends)
    forwards = [record.index for record, event in ledger.of("forward") if event.details["grad"]]
    if some_found or len(uses) < 2 or len(forwards) < 2:
        return
    if any(has_gradient(use) for use in uses) or forwards[0] > uses[0].record.index:
        return
    trained = [
        b for a, b in pairwise(uses)
        if any(a.record.index < i <= b.record.index for i in forwards)
    ]  # fmt: skip
    if not trained:
        return  # a schedule is brought to where a training had stopped
    last = trained[-1]
    number = sum(e["steps"] for e in ends) or len(uses)
    yield Sighting(
        last.record,
        f"none of the {number} steps found a gradient: no backward() ran, and none of "
        f"{len(last.held)} parameters was moved",
        cure=_with_a_backward(ledger, last.record),
        settle=None if ends or len(uses) > 2 else "whether a backward comes later",
    )


def _with_a_backward(ledger: Ledger, step: LineRecord) -> str:
    """A backward before the step, from what has a graph and is a number."""
    values = [v for record in ledger.records[: step.index] for v in record.values]
    losses = [v.name for v in values if v.graph and v.shape == ()]
    first = f"{losses[-1]}.backward()" if losses else "# backward(), from the loss"
    return f"{first}\n{uncommented(step.source)}"


@rule(
    "clears-and-no-more",
    why="Nothing is learned without a backward and a step.",
    cure="loss.backward()\noptimizer.step()",
    section=f"{PAGE}#clears-and-no-more",
)
def clears_and_no_more(ledger: Ledger) -> Iterator[Sighting]:
    """Forward and zero_grad, batch after batch, and neither a backward nor a step."""
    ends = [event for _, event in ledger.of("end")]
    moved = any(e.details["steps"] or e.details["others"] or e.details["written"] for e in ends)
    if not ends or moved or ledger.uses:
        return
    if any(r.changed_parameters or r.changed_gradients for r in ledger.records):
        return
    if any(True for _ in ledger.of("backward")):
        return
    losses = {
        record.place: (record, value.name)
        for record in ledger.records
        for value in record.values
        if value.graph and value.number is not None
    }
    for end in ends:
        clears = [record for record, event in ledger.of("clear") if event.name == end.name]
        if len(clears) >= 2 and losses:
            record, name = list(losses.values())[-1]
            yield Sighting(
                record,
                f"{end.name} cleared its gradients {len(clears)} times, and there were none: the "
                f"script is over, and neither a backward() nor {end.name}.step() ran",
                cure=f"{name}.backward()\n{end.name}.step()",
            )
