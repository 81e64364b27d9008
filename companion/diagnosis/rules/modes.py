"""Networks in the wrong mode, and what moves in them that nobody asked to move."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from companion.diagnosis.beside import Network, counterpart, networks
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import PAGE, Sighting, at, rule, some
from companion.diagnosis.words import statement
from companion.records.line import LineRecord
from companion.records.reading import Reading
from companion.records.statements import moved


@rule(
    "frozen-in-train-mode",
    why="requires_grad=False stops autograd, not dropout, and not the running statistics of "
    "BatchNorm: its outputs are random, or drift away from what it has learnt.",
    cure="teacher.eval()  # requires_grad_(False) does not do this",
    section=f"{PAGE}#frozen-in-train-mode",
)
def frozen_in_train_mode(ledger: Ledger) -> Iterator[Sighting]:
    """A network that nobody trains runs in training mode: a teacher, a feature extractor."""
    if len(_steps(ledger)) < 2:
        return
    everyone = networks(ledger)
    for one in everyone:
        others = [other for other in everyone if other is not one and not other.beside]
        if not one.stands or not one.parameters or not _is_left_alone(one, others):
            continue
        kinds = {kind for _, event in one.calls for kind in event.details["modal"]}
        if all(event.details.get("through") for _, event in one.calls) and not one.statistics:
            continue  # what comes before it learns with its dropout, as a prompt does
        for record, event in one.calls:
            if not event.details["modal"]:
                continue
            name = ledger.words.network(one.name) or one.name
            drift = ""
            if one.drifts:
                which = _telling(one.drifts)
                drift = f"; its {which} went from {_norms(one.statistics[which])}"
            yield Sighting(
                record,
                f"{name}, which nothing trains, ran in training mode, and has "
                f"{some(sorted(kinds))}{drift}",
                settle="whether its randomness, or statistics of this data, are meant",
                cure=f"{_own(name, record)}.eval()  # requires_grad_(False) does not do this",
            )


def _is_left_alone(one: Network, others: list[Network]) -> bool:
    """Whether all of its calls are those of a network that is frozen for good, in training mode.

    A copy of what is trained may be an average, or a target, that is renewed later. One that is
    sampled several times on a line is meant to be random.
    """
    events = [event for _, event in one.calls]
    if not all(event.details["training"] and event.details["modal"] for event in events):
        return False
    if max(Counter(record.index for record, _ in one.calls).values()) > 2:
        return False
    frozen = (
        all(event.details.get("frozen") for event in events)
        if one.beside
        else not any(one.wanted.values())
    )
    if any(event.details.get("elsewhere") for event in events):
        return False  # it is trained at other times
    if not frozen and (
        not one.beside
        or one.held
        or any(event.details["grad"] or event.details.get("alike") for event in events)
    ):
        return False
    seen = {
        was
        for other in others
        for name, (was, _) in other.parameters.items()
        if not name.startswith(f"{one.name}.")  # its own, that an optimizer holds
    }
    return not all(was in seen for was, _ in one.parameters.values() if was and was.norm)


def _telling(names: list[str]) -> str:
    """One of these statistics, and not a mere counter if there is another."""
    return next((name for name in names if not name.endswith("num_batches_tracked")), names[0])


def _norms(pair: tuple[Reading | None, Reading | None]) -> str:
    return " to ".join(map(_norm, pair)) + " (norm)"


def _norm(reading: Reading | None) -> str:
    return "none" if reading is None else f"{reading.norm:.4g}"


def _own(name: str, record: LineRecord) -> str:
    """The reader's own name: an attribute's is known without its owner."""
    return f"self.{name}" if f"self.{name}" in record.source else name


@rule(
    "average-without-buffers",
    why="In eval mode BatchNorm uses its running statistics, which are buffers, not parameters: "
    "these stay those of the beginning.",
    cure="for ours, theirs in zip(teacher.buffers(), student.buffers()):\n    ours.copy_(theirs)",
    section=f"{PAGE}#average-without-buffers",
)
def average_without_buffers(ledger: Ledger) -> Iterator[Sighting]:
    """A moving average or target follows in its parameters alone, and runs in eval mode."""
    everyone = networks(ledger)
    for one in everyone:
        if one.held or not one.moves or not one.statistics or one.drifts:
            continue
        if any(event.details["training"] for _, event in one.calls):
            continue
        used = [record for record, _ in one.calls if record.index > one.moves[0].index]
        for other in everyone if used else ():
            pairs = {} if other is one or not other.held else counterpart(one, other)
            left = [name for name in one.statistics if pairs.get(name) in other.drifts]
            if not left or other.beside:
                continue
            name = _telling(left)
            moved = _norms(other.statistics[pairs[name]])
            mean, net = (ledger.words.network(n) or n for n in (one.name, other.name))
            for record in one.moves:
                yield Sighting(
                    record,
                    f"it moves parameters of {mean} towards those of {net}, and no "
                    f"buffer: {name} stayed as it was, that of {net} went from "
                    f"{moved}, and {mean} ran in eval mode on {at(used[0])}",
                    settle="whether these statistics are meant to stay, or are copied later, such "
                    "as at the end of an epoch",
                    cure=f"for ours, theirs in zip({mean}.buffers(), {net}.buffers()):\n"
                    "    ours.copy_(theirs)",
                )


@rule(
    "dropout-in-eval",
    why="eval() switches off what asks for the mode: a registered layer, or a call that is given "
    "training=self.training. All else stays random when the network is tested.",
    cure="x = F.dropout(x, p=0.5, training=self.training)",
    section=f"{PAGE}#dropout-in-eval",
)
def dropout_in_eval(ledger: Ledger) -> Iterator[Sighting]:
    """A dropout is on inside a network in eval mode."""
    for record, event in ledger.of("dropout"):
        inside, where = event.details["inside"], event.details["where"]
        if event.details.get("layer"):
            yield Sighting(
                record,
                f"{inside} ran in eval mode, and {event.name} ({where}) was on: it is registered "
                "in no module, so eval() does not reach it",
                settle="whether this dropout is meant to be on always",
                cure=f"# the {event.name} as an attribute of its module, set in __init__",
            )
        else:
            yield Sighting(
                record,
                f"{inside} ran in eval mode, and {event.name}() ({where}) was on: it is called "
                "without training=, whose default is True",
                settle="whether this dropout is meant to be on always (Monte Carlo dropout); then "
                "training=True says so",
                cure=f"F.{event.name}(..., training=self.training)",
            )


@rule(
    "frozen-by-hand",
    why="requires_grad=False stops autograd, not a line that writes into the parameters itself.",
    cure="for p in net.parameters():\n    if p.requires_grad:\n        ...",
    section=f"{PAGE}#frozen-by-hand",
)
def frozen_by_hand(ledger: Ledger) -> Iterator[Sighting]:
    """A line moves frozen parameters along with those that learn, step after step."""
    ever = {n for r in ledger.records for s in (r.before, r.after) for n in s.requires_grad.items()}
    learning = {name for name, wanted in ever if wanted}
    frozen = {name for name, wanted in ever if not wanted} - learning
    places: dict[tuple[str, int], list[LineRecord]] = defaultdict(list)
    for record in ledger.records:
        if record.changed_parameters:
            places[record.place].append(record)
    for records in places.values():
        moved = [(record, name) for record in records for name in record.changed_parameters]
        still = [(r, name) for r, name in moved if name in frozen and _has_moved(r, name)]
        along = {r.step for r, name in moved if name in learning}
        steps = {r.step for r, _ in still} & along
        names = dict.fromkeys(name for _, name in still)
        if len(steps) < 2 or not all(_stays_moved(ledger, name) for name in names):
            continue
        shrunk = all(_factor(r, name) for r, name in still)
        by_step = any(e.kind == "step" for r, _ in still for e in r.events)
        if by_step and (not shrunk or any(r.before.gradients.get(n) for r, n in still)):
            continue  # an optimizer's own way, or a gradient that was put there
        for record, name in still:
            was, now = record.before.parameters[name], record.after.parameters[name]
            yield Sighting(
                record,
                f"it moved {some(list(names))}, frozen by requires_grad=False, along with those "
                f"that learn: {name} went from {_norms((was, now))}"
                + (", every entry by the same factor" if shrunk else ""),
                settle=None if shrunk else "whether the frozen ones are meant to move as well",
                cure=_if_wanted(record),
            )


def _if_wanted(record: LineRecord) -> str:
    """The same line for what requires a gradient, where it names what it moves."""
    name, source = moved(record.source), statement(record)
    if name is None or source is None or source.endswith(":"):
        return "# those alone whose requires_grad is True"
    return f"if {name}.requires_grad:\n    {source}"


def _steps(ledger: Ledger) -> dict[int, LineRecord]:
    """The last line of each step that an optimizer, or a line of the reader's own, stepped on."""
    own = [use.record for use in ledger.uses]
    whole = [record for record, _ in ledger.of("step")]
    return {record.step: record for record in sorted(own + whole, key=lambda r: r.index)}


def _pair(record: LineRecord, name: str) -> tuple[Reading, Reading] | None:
    was, now = record.before.parameters.get(name), record.after.parameters.get(name)
    if was is None or now is None or was.nonfinite or now.nonfinite:
        return None
    return was, now


def _has_moved(record: LineRecord, name: str) -> bool:
    """By more than rounding: an average of a weight with itself moves its last digits."""
    pair = _pair(record, name)
    if pair is None:
        return False
    was, now = pair
    return abs(now.norm - was.norm) + abs(now.sum - was.sum) > 1e-5 * was.norm


def _stays_moved(ledger: Ledger, name: str) -> bool:
    """Whether each step leaves it elsewhere: noise may be taken away again, a limit acts once."""
    ends = (record.after.parameters.get(name) for record in _steps(ledger).values())
    found = [one.norm for one in ends if one is not None]
    return len(found) > 1 and all(abs(one - two) > 1e-5 * one for one, two in pairwise(found))


def _factor(record: LineRecord, name: str) -> bool:
    """Whether a line has made all entries smaller by one factor, as weight decay does."""
    pair = _pair(record, name)
    if pair is None or not pair[0].norm:
        return False
    was, now = pair
    factor = now.norm / was.norm
    is_one = math.isclose(abs(was.sum), was.norm, rel_tol=1e-6)  # one entry is always scaled
    return 0 < factor < 1 and not is_one and abs(now.sum - factor * was.sum) <= 1e-5 * was.norm
