"""Numbers that are NaN or infinite, and where they began."""

from __future__ import annotations

import math
from collections.abc import Iterator

from companion.diagnosis.flow import Flow
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.cures import cure_of, cures
from companion.diagnosis.rules.table import STEPS, Sighting, at, norm, rule, some
from companion.records.flow import mean_of, second_argument, steep
from companion.records.line import Event, LineRecord, State
from companion.records.reading import combine
from companion.records.value import Value

_GROWN = 30  # times as large as at first: the parameters
_RISEN = 100  # the same of the gradients
_HALF = (
    "# bfloat16 in place of float16; or float32 parameters, torch.autocast and a\n"
    "# torch.amp.GradScaler, which skips such a step"
)


@rule(
    "not-finite",
    why="Once a parameter is NaN or infinite, every loss computed with it is.",
    cure="optimizer = torch.optim.SGD(net.parameters(), lr=0.01)  # a smaller lr, or clipping",
    section=f"{STEPS}#gradients-that-explode",
)
def not_finite(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters become NaN or infinite, or the loss of a step does: and where that began."""
    for record in ledger.records:
        if record.raised and "returned nan values in its" in record.raised:
            yield _raised(ledger, record)
            return
        spoilt = _spoilt(record)
        if spoilt:
            yield _of_parameters(ledger, record, spoilt)
            return
        yield from _of_loss(ledger, record)


def _spoilt(record: LineRecord) -> list[str]:
    """The parameters that a line made NaN or infinite."""
    return [
        name
        for name in record.changed_parameters
        if record.after.requires_grad.get(name, True)
        and (now := record.after.parameters.get(name)) is not None
        and now.nonfinite
        and ((was := record.before.parameters.get(name)) is None or not was.nonfinite)
    ]


def _of_parameters(ledger: Ledger, record: LineRecord, spoilt: list[str]) -> Sighting:
    whole = any(event.kind == "backward" for event in record.events)  # a step on one line
    gradients = (record.after if whole else record.before).gradients
    bad = [n for n in spoilt if (g := gradients.get(n)) is not None and g.nonfinite]
    backward = _first_bad(ledger, record, bad)
    if not bad and not whole:
        found = _of_step(ledger, record, spoilt)
        if found is not None:
            return found
    elif backward is not None and not _has_grown(ledger, record):
        return _of_backward(ledger, backward, record, spoilt)
    earlier = [r for r in ledger.records[: record.index] if r.line == record.line]
    norms = [norm(r, before=True) for r in [*earlier[-3:], record]]
    return Sighting(
        record,
        f"{some(spoilt)} became NaN or infinite; the norm of all gradients before this "
        f"line, the last times it ran: {', '.join(norms)}",
        cure=_slower(ledger, record),
    )


def _first_bad(ledger: Ledger, record: LineRecord, bad: list[str]) -> LineRecord | None:
    """The line of the backward that first left NaN or infinity in one of these gradients."""
    for earlier in ledger.records[: record.index + 1]:
        if any(event.kind == "backward" for event in earlier.events) and any(
            (g := earlier.after.gradients.get(name)) is not None and g.nonfinite for name in bad
        ):
            return earlier
    return None


def _has_grown(ledger: Ledger, record: LineRecord) -> bool:
    """Whether parameters or gradients had grown before this step, by much."""
    first, last = _norm(ledger.records[0].before), _norm(record.before)
    if first and not last <= _GROWN * first:
        return True
    runs = [r for r in ledger.records[: record.index + 1] if r.place == record.place]
    norms = [g.norm for r in runs if (g := combine(r.before.gradients.values())) is not None]
    finite = [one for one in norms if math.isfinite(one) and one]
    return len(finite) >= 2 and finite[-1] > _RISEN * finite[0]


def _norm(state: State) -> float:
    whole = combine(state.parameters.values())
    return 0.0 if whole is None else whole.norm


def _stepped(record: LineRecord) -> Event | None:
    return next((event for event in record.events if event.kind == "step"), None)


def _slower(ledger: Ledger, record: LineRecord) -> str | None:
    """A cure in the reader's own names; None where they are those of the table."""
    step = _stepped(record)
    if step is None or not step.name.isidentifier():
        return None
    nets = {event.name for _, event in ledger.of("forward")}
    net = nets.pop() if len(nets) == 1 else "net"
    rates = record.before.learning_rates.get(step.name, ())
    if (step.name == "optimizer" and net == "net") or not net.isidentifier():
        return None
    than = f" than {max(rates):g}" if rates else ""
    return (
        f"# a smaller lr for {step.name}{than}, or clipping before its step():\n"
        f"torch.nn.utils.clip_grad_norm_({net}.parameters(), 1.0)"
    )


def _changed_rate(ledger: Ledger, step: LineRecord, optimizer: str) -> LineRecord:
    """The line that gave an optimizer the learning rate of this step; or that step itself."""
    rates = step.before.learning_rates.get(optimizer)
    for record in reversed(ledger.records[: step.index]):
        if record.before.learning_rates.get(optimizer) != rates:
            return record
    return step


def _of_step(ledger: Ledger, record: LineRecord, spoilt: list[str]) -> Sighting | None:
    """Finite gradients, and the step made what is not: its learning rate, or its eps."""
    step = _stepped(record)
    if step is None:
        return None
    size = norm(record, before=True)
    rates = record.before.learning_rates.get(step.name, ())
    if not all(map(math.isfinite, rates)):
        shown = ", ".join(f"{rate:g}" for rate in rates)
        return Sighting(
            _changed_rate(ledger, record, step.name),
            f"{some(spoilt)} became NaN or infinite; all gradients were finite (norm {size}), and "
            f"the learning rate of {step.name} was {shown}",
            cure=f"print([group['lr'] for group in {step.name}.param_groups])  "
            "# before and after each line that sets it",
        )
    eps = step.details.get("eps")
    if eps is not None:
        return Sighting(
            record,
            f"{some(spoilt)} became NaN or infinite in {step.name}'s step; all gradients were "
            f"finite (norm {size}). Its eps of {eps} is 0 in the 16 bits of these parameters, so "
            "it divided by 0 where a gradient was 0 or its square too small",
            cure=f"# {step.name} with an eps that 16 bits can hold, eps=1e-4;\n"
            "# or parameters in float32, and torch.autocast for the forward",
        )
    return None


def _of_backward(
    ledger: Ledger, backward: LineRecord, record: LineRecord, spoilt: list[str]
) -> Sighting:
    """Gradients were not finite, and nothing had grown before: the loss, or its slope."""
    flow = Flow(ledger.records)
    event = next(e for e in backward.events if e.kind == "backward")
    end = f"; {at(record)} then made {some(spoilt)} NaN or infinite"
    if event.details.get("nonfinite"):
        return _of_value(flow, backward, event, end)
    whole = combine(backward.after.gradients.values())
    many = 0 if whole is None else whole.nonfinite
    return _of_slope(flow, backward, event, f"{many} entries of its gradient were not{end}")


def _origin(
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


def _of_value(flow: Flow, backward: LineRecord, event: Event, end: str) -> Sighting:
    """A value was not finite, before any gradient or parameter was."""
    found = _origin(flow, backward)
    line, value = (backward, None) if found is None else found
    what = "the loss" if value is None else _how_many(value)
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


def _how_many(value: Value) -> str:
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


def _of_slope(flow: Flow, backward: LineRecord, event: Event, end: str) -> Sighting:
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
            f"{begin} {end}. {_how_many(value)} ({at(line)}), and this line leaves them out too "
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


def _raised(ledger: Ledger, record: LineRecord) -> Sighting:
    """torch's own detect_anomaly() has named the operation."""
    flow = Flow(ledger.records)
    words = (record.raised or "").partition("'")[2].partition("'")[0]
    event = next((e for e in record.events if e.kind == "backward"), Event("backward", ""))
    sighting = _of_slope(flow, record, event, f"{words or 'an operation'} gave NaN gradients")
    return sighting


def _of_loss(ledger: Ledger, record: LineRecord) -> Iterator[Sighting]:
    """The loss of a step is not finite, and all its gradients are: they are 0."""
    event = next((e for e in record.events if e.kind == "backward"), None)
    if event is None or not event.details.get("nonfinite") or record.raised:
        return
    gradients = [g for g in record.after.gradients.values() if g is not None]
    if record.before.scale is not None or not gradients or any(g.nonfinite for g in gradients):
        return
    if not _is_used(ledger, record):
        return
    flow = Flow(ledger.records)
    if any(g.norm for g in gradients):
        yield _of_value(flow, record, event, "; all gradients were finite all the same")
        return
    found = _origin(flow, record, only_graphs=True)
    line, value = (record, None) if found is None else found
    ignored = event.details.get("ignored")
    what = "the loss was not finite" if value is None else _how_many(value)
    labels = second_argument(line.source)
    if ignored is not None:
        why = f": all labels of this batch were {ignored}, which the criterion leaves out"
        some_left = f"not ({labels or 'labels'} == {ignored}).all()"
    else:
        why, some_left = "", f"{mean_of(line.source) or 'losses'}.numel()"
    yield Sighting(
        line,
        f"{what}, and all gradients were exactly 0: the loss is a mean over no entry{why}",
        cure=f"if {some_left}:  # or there is nothing to learn from in this batch\n    ...",
    )


def _is_used(ledger: Ledger, record: LineRecord) -> bool:
    """Whether an optimizer steps after this backward, before anything clears."""
    for later in ledger.records[record.index :]:
        for event in later.events:
            if event.kind == "step":
                return True
            if event.kind in ("clear", "scaler step") and later is not record:
                return False
    return False
