"""The routine as a whole: nothing was trained, or for most of the time nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from companion.diagnosis.backwards import Backward, Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import GRADIENTS, STEPS, Sighting, at, norm, rule, some
from companion.records.line import LineRecord
from companion.records.syntax import read_grads

NOWHERE = f"{STEPS}#parameters-nobody-moves"


@rule(
    "not-called",
    why="Without parentheses a method is named, and nothing is done.",
    cure="loss.backward()",
    section=NOWHERE,
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
    section=NOWHERE,
)
def never_steps(ledger: Ledger) -> Iterator[Sighting]:
    """A script computes gradients for an optimizer, clears them, and no step ever follows."""
    ends = [event for _, event in ledger.of("end")]
    if any(True for _ in ledger.of("scaler step")) or _reads_gradients(ledger):
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
            f"backward() ran {_times(len(own))} here, {at(clears[-1])} cleared what it had "
            f"computed, and {end.name} made no step in the whole script{elsewhere}: none of its "
            f"{len(held)} parameters was moved",
            cure=f"{last.source}\n{end.name}.step()",
        )


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number} times"


@rule(
    "all-skipped",
    why="GradScaler skips a step whose gradients have NaN or infinity in them.",
    cure="with torch.autograd.detect_anomaly():  # names the operation that gives the first NaN\n"
    "    scaler.scale(loss).backward()",
    section=f"{STEPS}#order-around-the-step",
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
    scale = "" if last.before.scale is None else f"; the scale is {last.before.scale:g} by now"
    what = f", at last for NaN or infinity in the gradients of {some(bad)}" if bad else ""
    yield Sighting(
        first,
        f"all {len(tried)} steps were skipped{what}{scale}; the script is over, and no parameter "
        "was moved",
        settle=None
        if len(tried) >= 5
        else "whether the script is only this short to try it out: a scale that is too large is "
        "halved at each skipped step",
    )


@rule(
    "no-backward",
    why="step() skips every parameter whose gradient is None.",
    cure="loss.backward()\noptimizer.step()",
    section=NOWHERE,
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
    if any(_has_gradient(use) for use in uses) or forwards[0] > uses[0].record.index:
        return
    trained = [
        b for a, b in zip(uses, uses[1:], strict=False)
        if any(a.record.index < i <= b.record.index for i in forwards)
    ]  # fmt: skip
    if not trained:
        return  # a schedule is brought to where a training had stopped
    last = trained[-1]
    number = sum(e["steps"] for e in ends) or len(uses)
    yield Sighting(
        last.record,
        f"none of the {number} steps found a gradient: no backward() ran, and all of "
        f"{len(last.held)} parameters stayed as they were",
        cure=f"loss.backward()\n{last.record.source}",
        settle=None if ends or len(uses) > 2 else "whether a backward comes later",
    )


@rule(
    "clears-and-no-more",
    why="Nothing is learned without a backward and a step.",
    cure="loss.backward()\noptimizer.step()",
    section=NOWHERE,
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


def _has_gradient(use: Use) -> bool:
    states = use.record.before, use.record.after
    return any(state.gradients.get(name) is not None for state in states for name in use.held)


# Names with "grad" in them that say nothing of what a gradient is.
_HARMLESS = re.compile(
    r"#.*$|\b(zero_grad|no_grad|enable_grad|set_grad_enabled|is_grad_enabled|requires_grad_?"
    r"|clip_grad_(norm|value)_|create_graph|retain_grad|autograd)\b",
    re.MULTILINE,
)
_GRADIENT = re.compile(r"grad|=.*\bclip_grad|fisher|saliency", re.IGNORECASE)


def _reads_gradients(ledger: Ledger) -> bool:
    """Whether a line may read gradients: then they were computed for their own sake."""
    sources = {record.source for record in ledger.records}
    return any(
        read_grads(text)
        or re.search(r"=\s*[\w.]*clip_grad", text)
        or _GRADIENT.search(_HARMLESS.sub("", text))
        for text in sources
    )


@rule(
    "lr-not-finite",
    why="A step with such a learning rate makes every parameter NaN.",
    cure='for group in optimizer.param_groups:\n    print(group["lr"])  # where it becomes NaN',
    section=f"{STEPS}#gradients-that-explode",
)
def lr_not_finite(ledger: Ledger) -> Iterator[Sighting]:
    """The learning rate is NaN or infinite."""
    for use in ledger.uses:
        rates = use.record.before.learning_rates.get(use.optimizer, ())
        bad = [rate for rate in rates if not math.isfinite(rate)]
        if not bad or not use.record.changed_parameters:
            continue
        record = next(
            (
                r
                for r in ledger.records[: use.record.index]
                if all(map(math.isfinite, r.before.learning_rates.get(use.optimizer, bad)))
                and not all(map(math.isfinite, r.after.learning_rates.get(use.optimizer, ())))
            ),
            use.record,
        )
        made = "" if record is use.record else f" since {at(record)}"
        yield Sighting(
            record,
            f"{use.optimizer} stepped on {at(use.record)} with a learning rate of {bad[0]}{made}",
            cure=f'for group in {use.optimizer}.param_groups:\n    print(group["lr"])  '
            "# see where it comes from",
        )
        return


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
    section=NOWHERE,
)
def zero_lr(ledger: Ledger) -> Iterator[Sighting]:
    """Steps with a learning rate of 0: all of them, most of them, or the first ones."""
    every = [*_rates(ledger)]
    alone = len(every) == 1 and len({use.optimizer for use in ledger.uses}) == 1
    for one in every:
        name, first = one.uses[0].optimizer, one.uses[0].record
        if not any(map(_has_gradient, one.uses)) or _moves_at_zero(one.uses):
            continue
        scheduled = [record for record, event in ledger.of("schedule") if event.name == name]
        if one.is_zero and one.tail and one.steps >= (2 if one.is_over else 3):
            certain = one.is_over and alone
            yield Sighting(
                first,
                f"{name} made {one.steps} steps, each with a learning rate of 0, and moved none "
                f"of {len(one.uses[0].held)} parameters",
                settle=None
                if certain
                else "whether the learning rate is to rise later, or this optimizer to rest",
                cure=f'for group in {name}.param_groups:\n    print(group["lr"])  # above 0',
            )
        elif one.tail >= 5 and 2 * one.tail >= one.steps > one.tail:
            yield Sighting(
                scheduled[-1] if scheduled else one.uses[-1].record,
                f"after {one.steps - one.tail} of {one.steps} steps the learning rate of {name} "
                f"was 0, and stayed so: the last {one.tail} moved nothing",
                settle=None if alone else "whether this optimizer is to rest from there on",
                cure=_in_batches(scheduled),
            )
        elif one.head >= 3 and alone:
            yield Sighting(
                first,
                f"the first {one.head} steps of {name} had a learning rate of 0, and moved "
                f"none of {len(one.uses[0].held)} parameters",
                settle="whether steps that move nothing are wanted there; a warm-up of whole "
                "epochs can begin above 0",
                cure="lambda epoch: (epoch + 1) / warmup  # its first value is above 0",
            )


def _moves_at_zero(uses: Sequence[Use]) -> bool:
    """Whether an optimizer moves what it holds whatever its learning rate: it has its own."""
    return any(
        not any(use.record.before.learning_rates.get(use.optimizer, (1.0,)))
        and not set(use.record.changed_parameters).isdisjoint(use.held)
        for use in uses
    )


def _in_batches(scheduled: Sequence[LineRecord]) -> str:
    if not scheduled:
        return 'print(group["lr"])  # where it is set'
    return (
        f"{scheduled[-1].source}  # once an epoch, if its length is a number of epochs;\n"
        "# called for every batch, it has to last epochs * len(loader) calls"
    )


@rule(
    "short-schedule",
    why="A scheduler counts calls of its step(), whatever its length was meant in.",
    cure="scheduler = CosineAnnealingLR(optimizer, T_max=epochs * len(loader))",
    section=f"{STEPS}#order-around-the-step",
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
        each = all(
            any(a < step <= b for step in steps)
            for a, b in zip(indices, indices[1:], strict=False)
        )
        between = sum(indices[0] < step < indices[-1] for step in steps)
        if not each or between > len(calls) - 1:
            continue  # once an epoch
        if end.details["still"] < 2 or end.details["steps"] < 8 * span:
            continue
        if not any(use.optimizer == end.name and _has_gradient(use) for use in ledger.uses):
            continue  # a schedule that is drawn
        yield Sighting(
            calls[-1][0],
            f"{_COSINE} comes to 0 after T_max={span} calls and then rises again; it was called "
            f"for every step of {end.name}, {end.details['still']} of {end.details['steps']} "
            "steps had a learning rate of 0",
            settle=f"whether a cosine of {span} batches is meant, or one of {span} epochs",
            cure=_in_batches([calls[-1][0]]),
        )


_COSINE = "CosineAnnealingLR"


@rule(
    "step-outside-loop",
    why="zero_grad() clears what the batches before have computed: of all but the last nothing "
    "is learned.",
    cure="loss.backward()\noptimizer.step()  # in the same loop, once for every batch",
    section=f"{GRADIENTS}#gradients-that-are-lost",
)
def step_outside_loop(ledger: Ledger) -> Iterator[Sighting]:
    """zero_grad and backward for every batch, and a step after the loop."""
    by_line: dict[tuple[str, int], list[Backward]] = {}
    for one in ledger.backwards:
        by_line.setdefault(one.record.place, []).append(one)
    for backwards in by_line.values():
        lost = [one for one in backwards if one.wasted and one.discarded_by is not None]
        if len(lost) < 3 or any(one.read or one.touched for one in backwards):
            continue
        record, uses = backwards[-1].record, _uses_of(ledger, backwards)
        last = uses[-1].record if uses else record
        outside = last.indent < record.indent and last.function == record.function
        alike = len({use.record.place for use in uses}) == 1 and last.depth == record.depth
        if not uses or not outside or not alike or not _lost_before_each(uses, backwards):
            continue
        if any("step" not in _kinds(r) for r in ledger.records if r.place == last.place):
            continue  # a step that only some of the calls make
        if _reads_gradients(ledger):
            continue
        clear = lost[-1].discarded_by
        assert clear is not None
        yield Sighting(
            last,
            f"it ran {len(uses)} times for {len(backwards)} backward calls of {at(record)}: "
            f"{at(clear)} cleared {len(lost)} of them, and the step used only the last before "
            f"it, norm {norm(uses[-1].backwards[0].record)}",
            cure=f"{record.source}\n{last.source}  # as far in as the line above it",
        )


def _uses_of(ledger: Ledger, backwards: Sequence[Backward]) -> list[Use]:
    """The steps that used one of these calls alone; none where one used more than that."""
    uses = [use for use in ledger.uses if not set(use.backwards).isdisjoint(backwards)]
    return uses if all(len(use.backwards) == 1 for use in uses) else []


def _lost_before_each(uses: Sequence[Use], backwards: Sequence[Backward]) -> bool:
    """Whether before every step there are calls that were lost since the step before."""
    previous = -1
    for use in uses:
        now = use.record.index
        if not any(one.wasted and previous < one.record.index < now for one in backwards):
            return False
        previous = now
    return True


def _kinds(record: LineRecord) -> set[str]:
    return {event.kind for event in record.events}


@rule(
    "nothing-to-train",
    why="Without a parameter that requires a gradient a loss has no graph to go back through.",
    cure="p.requires_grad_(True)  # of what is to be trained",
    section=f"{GRADIENTS}#graphs-that-are-cut",
)
def nothing_to_train(ledger: Ledger) -> Iterator[Sighting]:
    """A backward raises, since all parameters are frozen."""
    for record, _ in ledger.of("backward"):
        wanted = record.after.requires_grad
        raised = record.raised or ""
        if "does not require grad" in raised and wanted and not any(wanted.values()):
            yield Sighting(
                record,
                f"none of {len(wanted)} parameters requires a gradient, so this loss has no graph, "
                "and backward() raised",
                cure=f"p.requires_grad_(True)  # of what is to be trained, such as {[*wanted][-1]}",
            )


_SUPERSEDED = {
    "backward": {"no-backward", "clears-and-no-more", "no-gradient", "step-outside-loop"},
    "step": {"never-steps", "clears-and-no-more", "accumulates", "discarded"},
    "zero_grad": {"accumulates", "polluted"},
    "train": {"eval-mode"},
    "eval": {"evaluation-in-train-mode"},
}


def superseded(ledger: Ledger) -> set[str]:
    """Names of rules that would say the same again, and less precisely."""
    rules: set[str] = set()
    for _, event in ledger.of("not called"):
        rules |= _SUPERSEDED.get(event.details["method"], set())
    if any(True for see in (step_outside_loop, never_steps) for _ in see(ledger)):
        rules.add("discarded")
    if any(True for _ in lr_not_finite(ledger)):
        rules.add("not-finite")
    return rules
