"""Learning rates with which a step moves nothing, or spoils everything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from companion.diagnosis.backwards import Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.evidence import has_gradient
from companion.diagnosis.rules.table import PAGE, STEPS, Sighting, rule
from companion.records.line import LineRecord
from companion.records.statements import uncommented

NOWHERE = f"{STEPS}#parameters-nobody-moves"
_COSINE = "CosineAnnealingLR"


@dataclass(frozen=True)
class _Rates:
    """Of one optimizer's steps: how many there were, and how many at a learning rate of 0."""

    uses: Sequence[Use]
    steps: int
    still: int
    head: int
    tail: int
    is_over: bool  # the script is, and it is 0 in the end

    @property
    def is_zero(self) -> bool:
        return self.steps == self.still


def _rates(ledger: Ledger) -> Iterator[_Rates]:
    by_name: dict[str, list[Use]] = {}
    for use in ledger.uses:
        by_name.setdefault(use.optimizer, []).append(use)
    ends = {event.name: event.details for _, event in ledger.of("end")}
    for name, uses in by_name.items():
        rates = [use.record.before.learning_rates.get(name) for use in uses]
        if any(one is None for one in rates):
            continue
        zeros = [not any(rate or ()) for rate in rates]
        end = ends.get(name)
        if end is not None:
            tail = end["tail"] if end["zero"] else 0
            numbers = end["steps"], end["still"], end["head"], tail
            yield _Rates(uses, *numbers, is_over=end["zero"] and not end["others"])
        else:
            head, tail = _leading(zeros), _leading(zeros[::-1])
            if any(ledger.records[-1].after.learning_rates.get(name, ())):
                tail = 0
            yield _Rates(uses, len(zeros), sum(zeros), head, tail, is_over=False)


def _leading(flags: Sequence[bool]) -> int:
    return next((i for i, flag in enumerate(flags) if not flag), len(flags))


@rule(
    "zero-lr",
    why="A step multiplies what it does by the learning rate: with 0 it moves nothing.",
    cure='for group in optimizer.param_groups:\n    print(group["lr"])',
    section=f"{PAGE}#zero-lr",
)
def zero_lr(ledger: Ledger) -> Iterator[Sighting]:
    """Steps with a learning rate of 0: all of them, most of them, or the first ones."""
    every = [*_rates(ledger)]
    alone = len(every) == 1 and len({use.optimizer for use in ledger.uses}) == 1
    alone = alone or all(one.is_zero and one.is_over for one in every)
    for one in every:
        optimizer, first = one.uses[0].optimizer, one.uses[0].record
        name = ledger.words.stepping(optimizer)
        if not any(map(has_gradient, one.uses)) or _moves_at_zero(one.uses):
            continue
        shown = f'for group in {name}.param_groups:\n    print(group["lr"])  # above 0'
        scheduled = [record for record, event in ledger.of("schedule") if event.name == optimizer]
        if one.is_zero and one.tail and one.steps >= (2 if one.is_over else 3):
            certain = one.is_over and alone
            if not one.is_over and not alone:
                continue  # it may rest for a while
            yield Sighting(
                first,
                f"{name} made {one.steps} steps, each with a learning rate of 0, and moved none "
                f"of {len(one.uses[0].held)} parameters",
                settle=None
                if certain
                else "whether the learning rate is to rise later, or this optimizer to rest",
                cure=shown,
            )
        elif one.tail >= 5 and 2 * one.tail >= one.steps > one.tail:
            yield Sighting(
                scheduled[-1] if scheduled else one.uses[-1].record,
                f"after {one.steps - one.tail} of {one.steps} steps the learning rate of {name} "
                f"was 0, and stayed so: the last {one.tail} moved nothing",
                settle=None
                if one.is_over and alone
                else "whether this optimizer is to rest from there on",
                cure=_in_batches(scheduled) or shown,
            )
        elif one.head >= 3 and alone:
            yield Sighting(
                first,
                f"the first {one.head} steps of {name} had a learning rate of 0, and moved "
                f"none of {len(one.uses[0].held)} parameters",
                settle="whether steps that move nothing are wanted there; a warm-up of whole "
                "epochs can begin above 0",
                cure="# a warm-up whose first value is above 0, such as 1 / its length",
            )


def _moves_at_zero(uses: Sequence[Use]) -> bool:
    """Whether an optimizer moves what it holds whatever its learning rate: it has its own."""
    return any(
        not any(use.record.before.learning_rates.get(use.optimizer, (1.0,)))
        and not set(use.record.changed_parameters).isdisjoint(use.held)
        for use in uses
    )


def _in_batches(scheduled: Sequence[LineRecord]) -> str | None:
    if not scheduled:
        return None
    return (
        f"{uncommented(scheduled[-1].source)}  # once an epoch, if its length is a number of "
        "epochs;\n"
        "# called for every batch, it has to last epochs * len(loader) calls"
    )


@rule(
    "short-schedule",
    why="A scheduler counts calls of its step(), whatever its length was meant in.",
    cure="scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(loader))",
    section=f"{PAGE}#short-schedule",
)
def short_schedule(ledger: Ledger) -> Iterator[Sighting]:
    """A cosine that is stepped for every batch and comes to 0, and up again, many times."""
    for end in [event for _, event in ledger.of("end")]:
        calls = [(r, e) for r, e in ledger.of("schedule") if e.name == end.name]
        steps = [use.record.index for use in ledger.uses if use.optimizer == end.name]
        spans = {event.details.get("span") for _, event in calls}
        span = spans.pop() if len(spans) == 1 else None
        if not span or len(calls) < 2 or {e.details["scheduler"] for _, e in calls} != {_COSINE}:
            continue
        indices = [record.index for record, _ in calls]
        each = all(any(a < step <= b for step in steps) for a, b in pairwise(indices))
        between = sum(indices[0] < step < indices[-1] for step in steps)
        if not each or between > len(calls) - 1:
            continue  # once an epoch
        if end.details["still"] < 2 or end.details["steps"] < 8 * span:
            continue
        if not any(use.optimizer == end.name and has_gradient(use) for use in ledger.uses):
            continue  # a schedule that is drawn
        yield Sighting(
            calls[-1][0],
            f"{_COSINE} comes to 0 after T_max={span} calls and then rises again; it was called "
            f"for every step of {end.name}, and {end.details['still']} of "
            f"{end.details['steps']} steps had a learning rate of 0",
            settle=f"whether a cosine of {span} batches is meant, or one of {span} epochs",
            cure=_in_batches([calls[-1][0]]),
        )
