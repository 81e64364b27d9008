"""Cures for lines that stand in the wrong order, in the reader's own words."""

from __future__ import annotations

from companion.diagnosis.backwards import Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.slices import made_by
from companion.diagnosis.words import statement
from companion.records.flow import reads
from companion.records.line import LineRecord
from companion.records.syntax import bound


def held_by(record: LineRecord) -> set[str]:
    """The parameters that the optimizers that step on a line hold."""
    steps = (event for event in record.events if event.kind == "step")
    return {name for event in steps for name in event.details["held"]}


def backward_first(ledger: Ledger, step: LineRecord, backward: LineRecord) -> str | None:
    """For a step between a forward and its backward: that one first, or the forward anew.

    Where other optimizers step with what the backward computes, it stays theirs: then what it
    goes through has to be computed with the parameters as the step has left them.
    """
    if len(step.before.learning_rates) < 2:
        return ledger.words.lines(backward, step)
    moved = held_by(step) or set(step.changed_parameters)
    names: set[str] = set()
    fresh: set[str] = set()  # bound after the step
    for record in ledger.records[step.index + 1 : backward.index + 1]:
        if record.function == step.function:
            names.update(set(reads(record.source)) - fresh)
            fresh.update(name for name, _ in bound(record.source))
    lines = made_by(ledger.records[: step.index], names, step.function, moved)
    if not lines:
        return None
    remark = f"  # again, after {statement(step) or 'the step'}"
    return "\n".join([f"{lines[0]}{remark}", *lines[1:]])


def unscaled(ledger: Ledger, clip: LineRecord | None, step: LineRecord | None) -> str | None:
    """`unscale_` before a clipping, or the scaler's own step for an optimizer's."""
    words = ledger.words
    if words.scaler is None:
        return None
    use: Use | None
    if step is not None:
        use = next((one for one in ledger.uses if one.record is step), None)
        name = None if use is None else words.optimizer(use.optimizer)
        if name is None:
            return None
        return (
            f"{words.scaler}.step({name})  # unscales first, skips a step with infinities\n"
            f"{words.scaler}.update()"
        )
    assert clip is not None
    use = next((one for one in ledger.uses if one.record.index > clip.index), None)
    name = None if use is None else words.optimizer(use.optimizer)
    return None if name is None else words.lines(f"{words.scaler}.unscale_({name})", clip)
