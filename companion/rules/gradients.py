"""Gradients that pile up, or are lost: what a step's gradient is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from companion.ledger import Ledger, Use
from companion.records import LineRecord
from companion.rules.table import Sighting, at, norm, rule, some


def who(use: Use) -> str:
    """Who stepped."""
    return use.optimizer or "a line of yours"


@rule(
    "accumulates",
    why="backward() adds to .grad: the step follows the sum of all batches since the last clear.",
    cure="optimizer.zero_grad()  # once for every step, before backward()",
    section="gradients-that-pile-up",
)
def accumulates(ledger: Ledger) -> Iterator[Sighting]:
    """A step uses a backward that it has used before."""
    for use in ledger.uses:
        if use.reused is None:
            continue
        new = use.reused[1]
        names = new.written & set(use.held)
        yield Sighting(
            new.record,
            f"backward() added to gradients that {who(use)} had already used: their norm "
            f"went from {norm(new.record, before=True, only=names)} to "
            f"{norm(new.record, only=names)}, and {at(use.record)} stepped with the sum of "
            f"{len(use.backwards)} backward calls",
        )


@rule(
    "polluted",
    why="A backward through one network also writes into the other's gradients, and its next step "
    "follows both.",
    cure="optimizer_d.zero_grad()  # before the backward of this optimizer's own loss",
    section="two-optimizers",
)
def polluted(ledger: Ledger) -> Iterator[Sighting]:
    """A step uses a backward that was made for another optimizer."""
    for use in ledger.uses:
        if use.reused is not None or use.foreign is None:
            continue
        old, new = use.foreign
        names = [name for name in use.held if name in old.written]
        yield Sighting(
            use.record,
            f"{who(use)} stepped with the sum of two: the backward() on {at(old.record)}, "
            f"made for another optimizer's step, had left a gradient in {some(names)}, and "
            f"{at(new.record)} added its own",
            settle="whether this optimizer is meant to follow both losses: it cleared before the "
            "first of them"
            if 0 <= use.cleared <= old.record.index
            else None,
        )


@rule(
    "discarded",
    why="zero_grad() clears what backward() has computed; a step after it has nothing to use.",
    cure="loss.backward()\noptimizer.step()\noptimizer.zero_grad()  # after a step has used it",
    section="gradients-that-are-lost",
)
def discarded(ledger: Ledger) -> Iterator[Sighting]:
    """A backward is cleared before any step has used it."""
    if not ledger.uses:
        return
    of_a_line = Counter(one.record.place for one in ledger.backwards)
    wasted = [one for one in ledger.backwards if one.wasted and one.discarded_by is not None]
    wasted_of_a_line = Counter(one.record.place for one in wasted)
    empty = [use for use in ledger.uses if not use.backwards and use.held]
    for one in wasted:
        assert one.discarded_by is not None
        place = one.record.place
        lost, all_of_them = wasted_of_a_line[place], of_a_line[place]
        in_vain = any(
            use.record.index > one.discarded_by.index and not one.written.isdisjoint(use.held)
            for use in empty
        )
        if not in_vain and (one.read or lost == all_of_them):
            continue  # it served something else: a norm, an attack, a gradient put together by hand
        empty_step = ", and a later step had no gradient at all" if in_vain else ""
        yield Sighting(
            one.discarded_by,
            f"it cleared what backward() on {at(one.record)} had computed (norm "
            f"{norm(one.record)}) before any step had used it{empty_step}; this happened to {lost} "
            f"of the {all_of_them} backward calls of that line",
            settle=None
            if in_vain
            else "whether these batches were meant to be left out; in an accumulation zero_grad() "
            "comes once for every step, and the last, smaller group can have a step of its own",
        )


def _one_batch_each(ledger: Ledger, records: list[LineRecord]) -> bool:
    """Whether there is a forward between one backward and the next, and the same line calls."""
    callers = set()
    for record in records:
        above = (r for r in reversed(ledger.records[: record.index]) if r.depth < record.depth)
        caller = next(above, None)
        callers.add(None if caller is None else caller.place)
    forwards = [record.index for record, _ in ledger.of("forward")]
    return len(callers) == 1 and all(
        any(one.index < index <= two.index for index in forwards) for one, two in pairwise(records)
    )


@rule(
    "accumulation-not-divided",
    why="Each loss is a mean over its batch, so the gradient is as many times too large as "
    "there were backward calls.",
    cure="loss = criterion(outputs, labels) / accumulation_steps",
    section="accumulation",
)
def accumulation_not_divided(ledger: Ledger) -> Iterator[Sighting]:
    """Several backward calls of means from one line, undivided, before one step."""
    for use in ledger.uses:
        if use.reused or use.foreign or use.scaled or len(use.backwards) < 2:
            continue
        lines = {one.record.place for one in use.backwards}
        events = [e for one in use.backwards for e in one.record.events if e.kind == "backward"]
        undivided = [event for event in events if event.details.get("mean")]
        if len(lines) > 1 or len(undivided) < len(use.backwards) or undivided != events:
            continue
        if not _one_batch_each(ledger, [one.record for one in use.backwards]):
            continue
        last = use.backwards[-1].record
        yield Sighting(
            last,
            f"{who(use)} stepped on {at(use.record)} with the sum of {len(use.backwards)} "
            f"backward calls, norm {norm(last)}; each loss came undivided out of a criterion "
            "that takes the mean",
            settle="whether the sum is meant: then the learning rate has to be chosen for "
            f"{len(use.backwards)} batches at once",
        )
