"""Clipping in the wrong place, decided on the calls: where it bites only later it is as wrong."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from companion.diagnosis.backwards import Backward, Clip, Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.gradients import one_batch_each, who
from companion.diagnosis.rules.table import PAGE, STEPS, Sighting, at, norm, rule
from companion.diagnosis.words import statement
from companion.records.line import LineRecord
from companion.records.statements import owner

MOST = 100  # steps that are looked at around a clipping: there may be many optimizers


def _place(one: Use | Backward | Clip) -> int:
    return one.record.index


def _next_use(ledger: Ledger, clip: Clip) -> Use | None:
    """The next step of an optimizer that holds what is clipped."""
    first = bisect_right(ledger.uses, clip.record.index, key=_place)
    later = ledger.uses[first : first + MOST]
    return next((use for use in later if not clip.names.isdisjoint(use.held)), None)


def _last_use(ledger: Ledger, clip: Clip) -> Use | None:
    """The last step before."""
    first = bisect_right(ledger.uses, clip.record.index, key=_place)
    earlier = reversed(ledger.uses[max(0, first - MOST) : first])
    return next((use for use in earlier if not clip.names.isdisjoint(use.held)), None)


def _is_clipped(ledger: Ledger, clip: Clip, use: Use) -> bool:
    """Whether another call clips, or measures, between the last backward of a step and the step."""
    last = use.backwards[-1].record.index
    first = bisect_right(ledger.clips, last, key=_place)
    for i in range(first, len(ledger.clips)):
        other = ledger.clips[i]
        if other.record.index > use.record.index:
            return False
        if other is not clip and not clip.names.isdisjoint(other.names):
            return True
    return False


def _all_called(use: Use) -> bool:
    """Whether all that it used came from backward calls, and nothing else had a hand in it."""
    scaled = any(event.kind == "scaler step" for event in use.record.events)
    return all(
        (scaled or not one.touched) and any(event.kind == "backward" for event in one.record.events)
        for one in use.backwards
    )


def _is_early(ledger: Ledger, clip: Clip) -> bool:
    """Whether it belongs to the round of the loop after that of the last step."""
    last = _last_use(ledger, clip)
    return last is None or clip.record.step > last.record.step


@rule(
    "clip-before-backward",
    why="Clipping limits what stands in .grad at that moment. What backward() adds later is not "
    "limited, or not alike.",
    cure="loss.backward()\ntorch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)\noptimizer.step()",
    section=f"{PAGE}#clip-before-backward",
)
def clip_before_backward(ledger: Ledger) -> Iterator[Sighting]:
    """Gradients are clipped before the backward that computes them, or while more are added."""
    for clip in ledger.clips:
        use = None if clip.meter else _next_use(ledger, clip)
        if use is None or not use.backwards or use.scaled or not _all_called(use):
            continue
        if clip.found == "fresh":
            yield from _amid(ledger, clip, use)
        elif clip.found == "nothing" or _is_early(ledger, clip):
            yield from _before(ledger, clip, use)


def _before(ledger: Ledger, clip: Clip, use: Use) -> Iterator[Sighting]:
    """All that the step uses was computed after the clipping, and is clipped no more."""
    first, last = use.backwards[0].record, use.backwards[-1].record
    if first.index < clip.record.index or _is_clipped(ledger, clip, use):
        return
    skipped = any(
        event.kind == "scaler step"
        for record in ledger.records[clip.record.index : last.index]
        for event in record.events
    )
    if skipped:
        return
    found = "nothing" if clip.found == "nothing" else "only what a step had used already"
    yield Sighting(
        clip.record,
        f"it found {found} in the gradients; then backward() on {at(last)} brought their norm to "
        f"{norm(last, only=set(use.held))}, and {who(ledger, use)} stepped on {at(use.record)} "
        "with that",
        cure=in_its_place(ledger, clip.record, use),
    )


def _amid(ledger: Ledger, clip: Clip, use: Use) -> Iterator[Sighting]:
    """Clipped between the micro-batches of one step, which all come from one line."""
    if use.reused or use.foreign:
        return
    records = [one.record for one in use.backwards]
    before = [record for record in records if record.index < clip.record.index]
    if not before or len(before) == len(records) or len({one.place for one in records}) > 1:
        return
    if one_batch_each(ledger, records):
        yield Sighting(
            clip.record,
            f"{_found(clip, f'the sum of {len(before)} of {len(records)} backward calls')}; the "
            f"others were added to that, and {who(ledger, use)} stepped on {at(use.record)} with "
            "the whole sum",
            settle="whether the batches of one step are meant to count the less the earlier they "
            "come",
            cure=in_its_place(ledger, clip.record, use, once=True),
        )


def _found(clip: Clip, what: str) -> str:
    """What it did to what it found."""
    then = norm(clip.record, only=set(clip.names))
    if clip.names.isdisjoint(clip.record.changed_gradients):
        return f"it found {what} below the limit, norm {then}, and changed nothing this time"
    return f"it clipped {what}, norm {then} then"


def in_its_place(ledger: Ledger, clip: LineRecord, use: Use, *, once: bool = False) -> str | None:
    """The reader's own lines, in the order that is right; "" where that is not known.

    Where a library decides at which calls a step is one, the same has to hold for the clipping.
    """
    words, source = ledger.words, statement(clip)
    if source is None:
        return None
    lines: list[LineRecord | str] = [] if once else [use.backwards[-1].record]
    if any(event.kind == "scaler step" for event in use.record.events):
        optimizer = words.optimizer(use.optimizer)
        if words.scaler is None or optimizer is None:
            return None
        lines.append(f"{words.scaler}.unscale_({optimizer})")
    remark = "  # once for every step, right before it"
    if _is_idle(ledger, use):
        library = _accumulating(ledger, use)
        if library is None:
            return ""
        lines.append(f"if {library}.sync_gradients:\n    {source}{remark}")
    else:
        lines.append(f"{source}{remark}" if once else source)
    return words.lines(*lines, use.record)


def _is_idle(ledger: Ledger, use: Use) -> bool:
    """Whether the line of a step has run between its backward calls, and has not stepped."""
    first, last = use.backwards[0].record.index, use.backwards[-1].record.index
    return any(
        one.place == use.record.place
        and not any(event.kind in ("step", "scaler step") for event in one.events)
        for one in ledger.records[first:last]
    )


def _accumulating(ledger: Ledger, use: Use) -> str | None:
    """Accelerate's `accelerator` that decides it, as the reader writes it."""
    backward = use.backwards[-1].record
    library = owner(backward.source, "backward")
    contexts = {owner(one.source, "accumulate") for one in ledger.records}
    return library if library in contexts else None


@rule(
    "clip-after-step",
    why="The step has used them as they were: the clipping has no effect.",
    cure="loss.backward()\ntorch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)\noptimizer.step()",
    section=f"{STEPS}#order-around-the-step",
)
def clip_after_step(ledger: Ledger) -> Iterator[Sighting]:
    """Gradients are clipped when a step has used them already."""
    late = {record.index for record in ledger.late_clips}
    for clip in ledger.clips:
        changed = clip.record.index in late
        if clip.found != "used" or not (changed or not clip.meter):
            continue
        use, following = _last_use(ledger, clip), _next_use(ledger, clip)
        if use is None or not use.backwards or _is_clipped(ledger, clip, use):
            continue  # clipped in its place, this one measures what is left
        if not clip.meter and following and _is_early(ledger, clip) and _all_called(following):
            continue  # `clip-before-backward` speaks, if anything does
        before = norm(clip.record, before=True, only=set(clip.names))
        cure = in_its_place(ledger, clip.record, use)
        if changed:
            yield Sighting(
                clip.record,
                f"it shrank the gradients from norm {before} to "
                f"{norm(clip.record, only=set(clip.names))} after the step had used them",
                cure=cure,
            )
        elif following is not None and not any(
            one.record.index < clip.record.index for one in following.backwards
        ):
            yield Sighting(
                clip.record,
                f"{who(ledger, use)} had used the gradients on {at(use.record)} already (norm "
                f"{before}, below the limit: it changed nothing), and no later step uses them",
                settle="whether it only measures" if _is_measured(clip.record) else None,
                cure=cure,
            )


def _is_measured(record: LineRecord) -> bool:
    """Whether the line does something with the norm that clipping returns."""
    source = statement(record)
    return source is None or not source.startswith(("torch.", "nn.", "clip_grad", "utils."))
