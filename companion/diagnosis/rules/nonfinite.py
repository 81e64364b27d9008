"""Numbers that are NaN or infinite, and where they began."""

from __future__ import annotations

import math
from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.origins import how_many, of_slope, of_value, origin
from companion.diagnosis.rules.table import STEPS, Sighting, at, norm, rule, some
from companion.records.flow import mean_of, second_argument
from companion.records.line import Event, LineRecord, State
from companion.records.reading import combine

_GROWN = 30  # times as large as at first: the parameters
_RISEN = 100  # the same of the gradients


@rule(
    "not-finite",
    why="Once a parameter is NaN or infinite, every loss computed with it is.",
    cure="optimizer = torch.optim.SGD(net.parameters(), lr=0.01)  # a smaller lr, or clipping",
    section=f"{STEPS}#gradients-that-explode",
)
def not_finite(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters become NaN or infinite, or the loss of a step does: and where that began."""
    losses: list[Sighting] = []
    for record in ledger.records:
        if record.raised and "returned nan values in its" in record.raised:
            yield _raised(ledger, record)
            return
        spoilt = _spoilt(record)
        if spoilt and (not losses or _has_grown(ledger, record)):
            yield _of_parameters(ledger, record, spoilt)
            return
        if spoilt:
            break  # it began with a loss
        losses += _of_loss(ledger, record)
    yield from losses


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


def _slower(ledger: Ledger, record: LineRecord) -> str:
    """A cure in the reader's own names, as far as they are known."""
    step = _stepped(record)
    if step is None:
        return "# a smaller learning rate, or gradients that are clipped before this line"
    nets = {event.name for _, event in ledger.of("forward")}
    net = ledger.words.network(nets.pop()) if len(nets) == 1 else None
    rates = record.before.learning_rates.get(step.name, ())
    than = f" than {max(rates):g}" if rates else ""
    words = f"# a smaller lr for {ledger.words.stepping(step.name)}{than}, or clipping"
    if net is None:
        return f"{words} before its step()"
    return f"{words} before its step():\ntorch.nn.utils.clip_grad_norm_({net}.parameters(), 1.0)"


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
    flow = ledger.flow
    event = next(e for e in backward.events if e.kind == "backward")
    end = f"; {at(record)} then made {some(spoilt)} NaN or infinite"
    if event.details.get("nonfinite"):
        return of_value(flow, backward, event, end)
    whole = combine(backward.after.gradients.values())
    many = 0 if whole is None else whole.nonfinite
    return of_slope(flow, backward, event, f"{many} entries of its gradient were not{end}")


def _raised(ledger: Ledger, record: LineRecord) -> Sighting:
    """torch's own detect_anomaly() has named the operation."""
    words = (record.raised or "").partition("'")[2].partition("'")[0]
    event = next((e for e in record.events if e.kind == "backward"), Event("backward", ""))
    return of_slope(ledger.flow, record, event, f"{words or 'an operation'} gave NaN gradients")


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
    flow = ledger.flow
    if any(g.norm for g in gradients):
        yield of_value(flow, record, event, "; all gradients were finite all the same")
        return
    found = origin(flow, record, only_graphs=True)
    line, value = (record, None) if found is None else found
    ignored = event.details.get("ignored")
    what = "the loss was not finite" if value is None else how_many(value)
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
