"""Cures for gradients that pile up or are lost, in the reader's own words."""

from __future__ import annotations

from companion.diagnosis.backwards import Backward, Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.words import statement
from companion.records.line import LineRecord
from companion.records.statements import root
from companion.records.syntax import bound

SHORT = 40  # characters of a line that is named in a remark


def called_anew(ledger: Ledger, one: LineRecord, other: LineRecord) -> bool:
    """Whether two backward calls come from two calls of one closure, within one step."""
    if one.place != other.place or not one.depth or one.depth != other.depth:
        return False
    between = ledger.records[one.index + 1 : other.index]
    if any(event.kind == "step" for record in between for event in record.events):
        return False
    returned = any(r.depth == one.depth and r.source.startswith("return") for r in between)
    return returned and ledger.words.closure(other) is not None


def cleared(ledger: Ledger, use: Use, backward: LineRecord, where: str | None = None) -> str | None:
    """Clear once for every step; in a closure at its beginning."""
    name = ledger.words.optimizer(use.optimizer)
    if not use.optimizer or name is None:
        return None
    between = ledger.records[backward.index : use.record.index]
    if any(name in dict(bound(record.source)) for record in between):
        return None  # a loop's variable, which is another one at that time
    closure = ledger.words.closure(backward)
    if closure is not None:
        return (
            f"def {closure[0]}():\n    {name}.zero_grad()  # first, in each of its calls\n    ..."
        )
    source = statement(backward)
    if source is None or root(source) is None or len(source) > SHORT:
        source = "backward()"
    return f"{name}.zero_grad()  # {where or f'once for every step, before {source}'}"


def kept_for_a_step(ledger: Ledger, backward: Backward, *, few: bool) -> str | None:
    """For gradients that are cleared unused: a step before, or once more where few are lost."""
    by = backward.discarded_by
    assert by is not None
    use = next(
        (one for one in ledger.uses if not backward.written.isdisjoint(one.held)),
        None,
    )
    step = None if use is None else statement(use.record)
    if use is None or step is None:
        return None
    if few:
        return f"{step}  # once more where the last, smaller group ends, before {statement(by)}"
    return ledger.words.lines(backward.record, use.record, by)
