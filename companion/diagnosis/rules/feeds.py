"""What goes into the loss: what a criterion takes itself, what it does not take, which shapes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import combinations

import torch

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import PAGE, STEPS, Sighting, rule
from companion.records.line import Event, LineRecord
from companion.records.operands import called_with, operands, with_part, with_side, with_variable
from companion.records.without import without_call

_SECTION = f"{STEPS}#losses-that-are-fed-wrong"


def _calls(record: LineRecord, event: Event) -> bool:
    """Whether the statement itself calls the criterion, not something that it calls."""
    line = event.details.get("line") or 0
    return record.line <= line <= record.line + record.source.count("\n")


@rule(
    "softmax-twice",
    why="The criterion applies it itself; twice, it squeezes all outputs together and the loss "
    "cannot become small.",
    cure="loss = criterion(net(inputs), labels)  # the network's last layer gives raw scores",
    section=_SECTION,
)
def softmax_twice(ledger: Ledger) -> Iterator[Sighting]:
    """Softmax before CrossEntropyLoss, sigmoid before BCEWithLogitsLoss."""
    plain = False  # whether the last sigmoid went into a mean without weights
    for record in ledger.records:
        for event in record.events:
            if event.kind == "fed" and event.details["by"] == "sigmoid":
                plain = event.details.get("plain") is True
            what = event.details.get("twice") if event.kind == "backward" else None
            if not what:
                continue
            before = event.details.get("before") or what
            own = "the criterion's own" if before == what else f"the criterion's {before}"
            yield Sighting(
                record,
                f"in the graph of this loss a {what} comes right before "
                f"{f'another {what}' if before == 'another' else own}{_floor(event, plain)}",
                cure=_once(ledger, record, what, before),
            )


def _once(ledger: Ledger, backward: LineRecord, what: str, before: str) -> str:
    """The line without the one too many; in words where none of the watched lines has it."""
    flow = ledger.flow
    losses = [line for _, line, v in flow.ancestors(backward) if v and v.graph and v.shape == ()]
    lines = [backward, *losses[:1]]
    found = {without_call(line.source, what) for line in lines}
    for line in lines:
        below = (one for one, value in flow.inputs(line) if value and value.graph)
        shorter = (without_call(one.source, what) for one in below if one not in lines)
        found.update(one for one in shorter if one and one[1])
    cures = [one[0] for one in found if one is not None]
    if len(cures) == 1:
        return cures[0]
    if before == "another":
        return f"# one {what} in place of two"
    return f"# no {what} before the criterion, which has its own: raw scores"


def _floor(backward: Event, plain: bool) -> str:
    """How small the loss can get, where that is known: if it is the criterion's mean itself."""
    classes = backward.details.get("classes")
    if classes:
        # Scores between 0 and 1, the right one 1 and all others 0, are the best there can be.
        floor = math.log(1 + (classes - 1) / math.e)
        return f"; with {classes} classes no loss can fall below {floor:.3g}"
    bare = backward.details.get("mean") and backward.details.get("before") == "sigmoid"
    if not (plain and bare):
        return ""  # the best score for a label of 1 is 1, and for 0 it is 0
    return f"; no loss can fall below {math.log1p(1 / math.e):.3g}"


@rule(
    "broadcast-loss",
    why="Two shapes that differ are broadcast: every output is compared with every target.",
    cure="loss = criterion(outputs.squeeze(1), targets)",
    section=_SECTION,
)
def broadcast_loss(ledger: Ledger) -> Iterator[Sighting]:
    """A loss between (N, 1) and (N)."""
    told: dict[tuple[object, ...], int] = {}  # the step of the last one of these shapes
    for record, event in ledger.of("shapes"):
        a, b = tuple(event.details["input"]), tuple(event.details["target"])
        try:
            whole = tuple(torch.broadcast_shapes(a, b))
        except RuntimeError:  # they do not fit; torch has raised
            continue
        pairs = math.prod(whole)
        if pairs <= max(math.prod(a), math.prod(b)):
            continue
        if event.details.get("unsure") and not _is_confirmed(ledger, record, whole):
            continue
        if event.details.get("text") == "" and told.get((a, b)) == record.step:
            continue  # a function was called that has told already
        told[a, b] = record.step
        multiplied = event.name == "the product"
        observed = (
            f"{event.name} {'multiplied' if multiplied else 'compared'} {a} with {b}: "
            f"{pairs} pairs, not {math.prod(a)}"
        )
        settle = None
        if event.details.get("kept"):
            settle = "whether a loss for every pair is meant"
        elif event.details.get("same") and event.details.get("mean", True):
            observed += "; their mean is the same here, since all targets are the same"
            settle = "whether they always are; with others, the loss is wrong"
        yield Sighting(record, observed, settle, _squeezed(record, event, a, b))


def _is_confirmed(ledger: Ledger, record: LineRecord, whole: tuple[int, ...]) -> bool:
    """Whether the next backward finds a difference of this shape in the graph of its loss."""
    for i in range(record.index, len(ledger.records)):
        for event in ledger.records[i].events:
            if event.kind == "backward":
                return event.details.get("spread") == whole
    return False


def _squeezed(
    record: LineRecord, event: Event, a: tuple[int, ...], b: tuple[int, ...]
) -> str | None:
    """The statement with the longer of both shapes made the other's, or what is to be changed."""
    target = len(b) >= len(a)
    change = _fitting(b, a) if target else _fitting(a, b)
    widened = change if target else _fitting(b, a)  # of the target in any case
    text, argument = event.details.get("text"), event.details.get("argument")
    if text is None:
        direct = _calls(record, event)
        cured = called_with(record.source, event.name, int(target), change) if direct else None
        return cured or _in_words(target, change)
    by_hand = _in_words(target, change)
    if argument is not None:
        return with_part(record.source, argument, widened) or by_hand
    first = bool(event.details.get("first"))
    name = _repeated(record.source, text, first)
    if name is not None:  # in several places: made to fit in all of them
        return with_variable(record.source, name, widened) or by_hand
    left = target == first
    return with_side(record.source, text, left, change) or by_hand


def _fitting(one: tuple[int, ...], other: tuple[int, ...]) -> str:
    """What gives a shape the form of another."""
    long, short = (one, other) if len(one) >= len(other) else (other, one)
    ones = [i for i, n in enumerate(long) if n == 1]
    few = combinations(ones, len(long) - len(short))
    fits = [c for c in few if tuple(n for i, n in enumerate(long) if i not in c) == short]
    if long == short or not fits:  # crossed
        return "_.T" if one == other[::-1] else "_.reshape_as(...)"
    dims = fits[-1][::-1] if long is one else fits[-1]
    return "_" + "".join(f".{'squeeze' if long is one else 'unsqueeze'}({i})" for i in dims)


def _repeated(source: str, text: str, first: bool) -> str | None:
    """The target's variable, if a statement subtracts or multiplies with it more than once."""
    sides = [one.left if first else one.right for one in operands(text) if one.text == text]
    name = sides[0].name if sides and sides[0] is not None and not sides[0].keys else None
    uses = sum(
        side is not None and side.name == name
        for one in operands(source)
        for side in (one.left, one.right)
    )
    return name if uses > 1 else None


def _in_words(target: bool, change: str) -> str:
    return f"# {change.replace('_', '', 1)} of the {'target' if target else 'output'}, before this"


@rule(
    "log-missing",
    why="The criterion takes log-probabilities; of anything else it makes a number that can fall "
    "below 0, and that says little of how wrong the network is.",
    cure="loss = criterion(torch.log_softmax(scores, dim=1), targets)",
    section=f"{PAGE}#log-missing",
)
def log_missing(ledger: Ledger) -> Iterator[Sighting]:
    """Probabilities, or raw scores, in NLLLoss, KLDivLoss or CTCLoss."""
    for record, event in ledger.of("fed"):
        by, dim = event.details["by"], event.details.get("dim", 1)
        if event.name not in ("nll_loss", "kl_div", "ctc_loss"):
            continue
        cure: str | None = None
        if by in ("softmax", "sigmoid"):
            observed = f"{event.name} was given what comes straight out of a {by}: no logarithm"
            cure = f"torch.log_softmax(..., dim={dim})  # where the {by} stands now"
        elif by == "probabilities":
            observed = f"{event.name} was given probabilities, which sum to 1: no logarithm"
            cure = _fed(record, event, 0, "torch.log(_)")
        elif by == "scores":
            observed = f"{event.name} was given raw scores: no log_softmax comes before it"
            cure = _fed(record, event, 0, f"torch.log_softmax(_, dim={dim})")
        elif by == "target probabilities":
            observed = "kl_div with log_target=True was given targets that sum to 1: no logarithm"
            cure = "log_target=False  # the targets are probabilities"
        else:
            continue
        below = [v for v in record.values if v.shape == () and v.number is not None]
        if len(below) == 1 and below[0].number is not None and below[0].number < 0:
            observed += f"; {below[0].name} is {below[0].number:.4g}, and should not be below 0"
        yield Sighting(record, observed, cure=cure)


def _fed(record: LineRecord, event: Event, position: int, change: str) -> str:
    """The statement with what the criterion is given changed, or what is to be changed in it."""
    direct = _calls(record, event)
    cured = called_with(record.source, event.name, position, change) if direct else None
    what = ("the first argument", "the targets")[position]
    changed = re.sub(r"(?<!\w)_(?!\w)", "...", change)
    return cured or f"# {changed} for {what} of {event.name}"


@rule(
    "softmax-across",
    why="What is normalised must be the classes of one example; over the batch, each example's "
    "probabilities depend on the others', and do not sum to 1.",
    cure="torch.log_softmax(scores, dim=1)",
    section=f"{PAGE}#softmax-across",
)
def softmax_across(ledger: Ledger) -> Iterator[Sighting]:
    """A softmax over the batch, or over another dimension that is not the classes'."""
    for record in ledger.records:
        for event in record.events:
            if event.kind == "across":
                dim, classes = event.details["dim"], event.details["classes"]
                shape, of = tuple(event.details["shape"]), event.details.get("of", "")
                given = "a target" if of == "target" else "an input"
                called = "softmax" if of else "log_softmax"
                observed = f"{event.name} was given {given} of shape {shape} whose {called} ran"
            elif event.kind == "backward" and event.details.get("across"):
                dim, classes, *sizes = event.details["across"]
                called, shape = "log_softmax", tuple(sizes)
                observed = f"this loss takes one entry of each row of {shape}; their {called} ran"
            else:
                continue
            batch = ", the batch" if dim == 0 else ""
            yield Sighting(
                record,
                f"{observed} over dimension {dim}{batch}; the classes are dimension {classes}",
                cure=f"torch.{called}(..., dim={classes})",
            )


@rule(
    "targets-outside",
    why="With such targets the loss has no least value: it falls for ever as the outputs grow.",
    cure="targets = (targets + 1) / 2  # 0 where it was -1",
    section=f"{PAGE}#targets-outside",
)
def targets_outside(ledger: Ledger) -> Iterator[Sighting]:
    """Targets below 0 or above 1 in a binary cross entropy, raw scores as a cross entropy's."""
    for record, event in ledger.of("fed"):
        by = event.details["by"]
        if by == "targets":
            given = event.details.get("range", "below 0")
            observed = f"{event.name} takes targets from 0 to 1; these go from {given}"
            yield Sighting(record, observed, cure=_into_0_to_1(record, event, given))
        elif by == "target scores":
            dim = event.details.get("dim", 1)
            yield Sighting(
                record,
                f"{event.name} was given raw scores as its targets, some below 0: no probabilities",
                cure=_fed(record, event, 1, f"torch.softmax(_, dim={dim})"),
            )


def _into_0_to_1(record: LineRecord, event: Event, given: str) -> str:
    """How targets of this range come between 0 and 1."""
    if given == "-1 to 1":
        return _fed(record, event, 1, "(_ + 1) / 2")
    if given.startswith("-") or given == "below 0":
        return "# targets from 0 to 1; or a criterion for others, such as nn.MSELoss()"
    return "# classes counted from 0, pixels divided by 255: the targets from 0 to 1"
