"""Batches that are computed and never used: a step, or a backward, outside the loop."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache

from companion.diagnosis.backwards import Backward, Use
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.evidence import binds, is_shared, reads_gradients, started
from companion.diagnosis.rules.table import PAGE, Sighting, at, rule
from companion.records.flow import reads
from companion.records.line import LineRecord
from companion.records.parse import tree_of
from companion.records.statements import uncommented
from companion.records.times import times

# What only looks at a number.
_LOOKS = ("item", "detach", "tolist")
_PRINTS = ("print", "float")


@rule(
    "step-outside-loop",
    why="zero_grad() clears what the batches before have computed: of all but the last nothing "
    "is learned.",
    cure="loss.backward()\noptimizer.step()  # in the same loop, once for every batch",
    section=f"{PAGE}#step-outside-loop",
)
def step_outside_loop(ledger: Ledger) -> Iterator[Sighting]:
    """zero_grad and backward for every batch, and a step after the loop."""
    by_line: dict[tuple[str, int], list[Backward]] = {}
    for one in ledger.backwards:
        by_line.setdefault(one.record.place, []).append(one)
    for backwards in by_line.values():
        lost = [one for one in backwards if one.wasted and one.discarded_by is not None]
        clips = any(True for _ in ledger.of("clip"))
        if len(lost) < 3 or any(one.read and not clips for one in lost):
            continue
        record, uses = backwards[-1].record, _uses_of(ledger, backwards)
        if len({use.record.place for use in uses}) != 1 or not _lost_before_each(uses, backwards):
            continue
        last = uses[-1].record
        caller = _seen_from(ledger, record, last.depth)
        if last.indent >= caller.indent or last.function != caller.function:
            continue
        if any("step" not in _kinds(r) for r in ledger.records if r.place == last.place):
            continue  # a step that only some of the calls make
        if reads_gradients(ledger):
            continue
        clear = lost[-1].discarded_by
        assert clear is not None
        settle = _settled(ledger, record, caller)
        moved = f"{uncommented(last.source)}  # as far in as the line above it"
        yield Sighting(
            last,
            f"it ran {times(len(uses))} for {len(backwards)} backward calls of {at(record)}: "
            f"{at(clear)} cleared what {len(lost)} of them had computed, and "
            f"{'the' if len(uses) == 1 else 'each'} step used only the last before it",
            settle=settle,
            cure="" if settle else f"{uncommented(caller.source)}\n{moved}",
        )


def _settled(ledger: Ledger, backward: LineRecord, caller: LineRecord) -> str | None:
    """What tells where the mistake is, if the batches of the loop may be meant for one step."""
    header = _loop(ledger.records[: caller.index], caller)
    if header is None or not (is_shared(ledger, backward) or _are_groups(ledger, header)):
        return None
    return (
        f"whether the batches of {at(header)} are meant for one step: then what clears goes before "
        "that loop, else the step goes into it"
    )


def _are_groups(ledger: Ledger, header: LineRecord) -> bool:
    """Whether the loop goes through what the loop around it has named."""
    outer = _loop(ledger.records[: header.index], header)
    return outer is not None and not set(_names(outer.source)[1]).isdisjoint(reads(header.source))


def _seen_from(ledger: Ledger, record: LineRecord, depth: int) -> LineRecord:
    """The line itself, or in the function that it was called from, so far out, the call."""
    above = (r for r in reversed(ledger.records[: record.index]) if r.depth <= depth)
    return record if record.depth <= depth else next(above, record)


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
    "backward-outside-loop",
    why="Each pass of the loop binds the name anew: the losses before, and what they would have "
    "taught, are gone.",
    cure="loss.backward()  # in the loop, once for every batch\noptimizer.step()",
    section=f"{PAGE}#backward-outside-loop",
)
def backward_outside_loop(ledger: Ledger) -> Iterator[Sighting]:
    """Losses of many batches, and a backward after the loop: of the last one."""
    previous = -1
    for record, _ in ledger.of("backward"):
        first, previous = previous + 1, record.index
        name = started(record.source)
        window = [r for r in ledger.records[first : record.index] if r.depth == record.depth]
        inside = [r for r in window if r.function == record.function and r.indent > record.indent]
        losses = [r for r in inside if binds(r, name)]
        if name is None or len({r.place for r in losses}) != 1 or len(losses) < 3:
            continue
        loop = _loop(window, losses[-1])
        if loop is None or record.indent > loop.indent:
            continue
        if any(_uses(r.source, name) for r in ledger.records[first : record.index]):
            continue
        if _carries(inside, name) or not _steps_after(ledger, record):
            continue
        clears = any("clear" in _kinds(r) for r in inside)
        batches = any(v.shape and not v.graph for r in [loop, *inside] for v in r.values)
        if not clears and not batches:
            continue  # one batch, seen in several ways
        yield Sighting(
            record,
            f"it went back from the last of {len(losses)} losses that {at(losses[0])} has bound to "
            f"{name}, each with a graph of its own; the {len(losses) - 1} others were never used",
            cure=_inside(ledger, record, losses),
        )


def _inside(ledger: Ledger, backward: LineRecord, losses: Sequence[LineRecord]) -> str | None:
    """The lines from the last loss to the step, which are to stand in the loop."""
    step = next(use.record for use in ledger.uses if use.record.index >= backward.index)
    between = ledger.records[losses[-1].index + 1 : step.index + 1]
    wanted = {"clear", "backward", "step", "scaler step"}
    lines = [r for r in between if r.depth == backward.depth and not wanted.isdisjoint(_kinds(r))]
    whole = ledger.words.lines(*lines)
    whose = "all " if len(lines) > 2 else "both " if len(lines) > 1 else ""
    return None if whole is None else f"{whole}  # {whose}as far in as {at(losses[0])}"


def _loop(window: Sequence[LineRecord], loss: LineRecord) -> LineRecord | None:
    """The last header of a loop before a loss, less far in than it."""
    above = (r for r in reversed(window) if r.index < loss.index and r.indent < loss.indent)
    return next((r for r in above if r.source.startswith(("for ", "while ", "async for "))), None)


def _steps_after(ledger: Ledger, record: LineRecord) -> bool:
    """Whether the next step used this backward alone."""
    use = next((use for use in ledger.uses if use.record.index >= record.index), None)
    return use is not None and [one.record for one in use.backwards] == [record]


@lru_cache(maxsize=4096)
def _uses(text: str, name: str) -> bool:
    """Whether a statement does more with a variable than to look at its number."""
    tree = tree_of(text)
    if tree is None:
        return name in text
    seen = {id(node) for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == name}
    for node in ast.walk(tree):
        looks: Sequence[ast.AST] = ()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            looks = [node.func.value] if node.func.attr in _LOOKS else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            looks = node.args if node.func.id in _PRINTS else []
        elif isinstance(node, ast.FormattedValue):
            looks = [node.value]
        elif isinstance(node, ast.Assign):
            looks = node.targets
        seen -= {id(one) for one in looks}
    return bool(seen)


@lru_cache(maxsize=4096)
def _names(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The variables that a statement reads, and those that it binds."""
    tree = tree_of(text)
    nodes = [] if tree is None else [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    read = {n.id for n in nodes if isinstance(n.ctx, ast.Load)}
    bound = {n.id for n in nodes if isinstance(n.ctx, ast.Store)}
    if tree is not None:
        added = [n.target for n in ast.walk(tree) if isinstance(n, ast.AugAssign)]
        read |= {one.id for one in added if isinstance(one, ast.Name)}
    return frozenset(read), frozenset(bound)


def _carries(inside: Sequence[LineRecord], loss: str) -> bool:
    """Whether one pass of the loop goes on with a tensor of the pass before: a hidden state."""
    graphs = {v.name for r in inside for v in r.values if v.graph and v.name != loss}
    kept = {name for name in graphs if "." in name}  # self.hidden
    bound: set[str] = set()
    for record in inside:
        read, binds = _names(record.source)
        kept |= (read & graphs) - bound
        bound |= binds
    return bool(kept)
