"""Where a loss stopped being finite, or its slope: the line, and what helps there."""

from __future__ import annotations

import math

from companion.diagnosis.flow import Flow
from companion.diagnosis.rules.cures import cure_of, cures
from companion.diagnosis.rules.table import Sighting, at
from companion.records.flow import steep
from companion.records.line import Event, LineRecord
from companion.records.value import Value

_HALF = (
    "# bfloat16 in place of float16; or float32 parameters, torch.autocast and a\n"
    "# torch.amp.GradScaler, which skips such a step"
)


def origin(
    flow: Flow, backward: LineRecord, *, only_graphs: bool = False
) -> tuple[LineRecord, Value] | None:
    """The earliest line that bound what is not finite, of those that the loss came from."""
    bad: list[tuple[LineRecord, Value]] = []
    todo, seen = [backward], {backward.index}
    for reader in todo:
        for line, value in flow.inputs(reader):
            is_return = value is None and line.source.startswith("return ")
            if not is_return and (value is None or not value.nonfinite):
                continue
            if value is not None:
                bad.append((line, value))
            if line.index not in seen:
                seen.add(line.index)
                todo.append(line)
    if only_graphs:
        bad = [one for one in bad if one[1].graph]
    return min(reversed(bad), key=lambda one: one[0].index, default=None)


def of_value(flow: Flow, backward: LineRecord, event: Event, end: str) -> Sighting:
    """A value was not finite, before any gradient or parameter was."""
    found = origin(flow, backward)
    line, value = (backward, None) if found is None else found
    what = "the loss" if value is None else how_many(value)
    if value is not None and _is_data(line, value):
        return Sighting(
            line,
            f"{what}: it came so with the data, before any gradient or parameter was NaN{end}",
            cure=f"{value.name} = {value.name}.nan_to_num(0.0, 0.0, 0.0)  # and leave these "
            "entries out of the loss; or leave the example out",
        )
    zero = next(
        (
            one.name
            for _, one in flow.inputs(line)
            if one is not None and one.number == 0 and ("/", one.name) in steep(line.source)
        ),
        None,
    )
    if zero is not None:
        return Sighting(
            line,
            f"{what}: it was divided by {zero}, which was 0; gradients and parameters were finite "
            f"before{end}",
            cure=f"{zero}.clamp(min=1e-8)  # or min=1 for a count" if zero.isidentifier() else None,
        )
    if value is not None and value.dtype == "float16":
        return Sighting(
            line,
            f"{what}, and neither a gradient nor a parameter was before it: it is float16, whose "
            f"largest number is 65504{end}",
            cure=_HALF,
        )
    operations = steep(line.source)
    hint = _hint(operations, event.details.get("steep", ()))
    return Sighting(
        line,
        f"{what}, and neither a gradient nor a parameter was before it{hint}{end}",
        cure=cures(operations) if operations else _look(event, value),
    )


def how_many(value: Value) -> str:
    """What a value was, or how much of it is not finite."""
    if value.number is not None:
        return f"{value.name} was {value.number:g}"
    size = math.prod(value.shape or ())
    return f"{value.nonfinite} of {size} entries of {value.name} were NaN or infinite"


def _is_data(line: LineRecord, value: Value) -> bool:
    """Whether a line found a value as it is, rather than computed it."""
    if value not in line.values or line.source.startswith(("for ", "async for ")):
        return True
    return not value.graph and not steep(line.source)


def _hint(operations: tuple[tuple[str, str], ...], near: tuple[str, ...]) -> str:
    if operations:
        return "; it takes " + ", ".join(
            f"{what} by {of}" if what == "/" else f"{what} of {of}" for what, of in operations[:3]
        )
    return f"; the graph of the loss has {', '.join(near[:4])}" if near else ""


def _look(event: Event, value: Value | None) -> str:
    """How to find the operation, or what helps with the only one that it can be."""
    near = event.details.get("steep", ())
    if len(near) == 1 and near != ("/",):
        return cure_of(near[0], "x")
    name = "loss" if value is None else value.name
    return f"assert {name}.isfinite().all()  # after each layer and term that it is made of"


def of_slope(flow: Flow, backward: LineRecord, event: Event, end: str) -> Sighting:
    """The loss was finite, and its gradient was not."""
    begin = "the loss was finite, but"
    ancestors = flow.ancestors(backward)
    for reader, line, value in ancestors:
        if value is None or not value.nonfinite or reader is backward:
            continue
        if any(v.nonfinite for v in reader.values):
            continue  # it does not end there
        name = value.name
        by_hand = f"{name} = {name}.nan_to_num(0.0, 0.0, 0.0)  # before this line"
        return Sighting(
            reader,
            f"{begin} {end}. {how_many(value)} ({at(line)}), and this line leaves them out too "
            "late: what is left out has the gradient 0, and 0 times NaN or infinity is NaN",
            cure=cures(steep(line.source), masked=True)
            if value.graph and steep(line.source)
            else by_hand,
        )
    halves = [v for _, _, v in ancestors if v is not None and v.dtype == "float16" and v.graph]
    if halves:
        return Sighting(
            backward,
            f"{begin} {end}. {halves[0].name} is float16, whose largest number is 65504",
            cure=_HALF,
        )
    lines = {line.index: line for _, line, _ in ancestors}
    lines[backward.index] = backward
    near = event.details.get("steep", ())
    for line in (lines[i] for i in sorted(lines, reverse=True)):
        operations = tuple(one for one in steep(line.source) if one[0] in near)
        if operations:
            return Sighting(
                line,
                f"{begin} {end}. This line takes "
                f"{', '.join(f'{what} of {of}' for what, of in operations[:3])}: where the slope "
                "of that is infinite, the gradient is infinity, or 0 times infinity, which is NaN",
                cure=cures(operations),
            )
    known = f". The graph of the loss has {', '.join(near[:4])}" if near else ""
    return Sighting(
        backward,
        f"{begin} {end}{known}",
        cure=cure_of(near[0], "x")
        if len(near) == 1 and near != ("/",)
        else "with torch.autograd.detect_anomaly():  # it names the operation\n"
        f"    {backward.source.splitlines()[0]}",
    )
