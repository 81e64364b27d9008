"""Who holds what: parameters that a loss reaches, compared with what the optimizers were given."""

from __future__ import annotations

from collections.abc import Iterator

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import PAGE, Sighting, at, norm, rule, some
from companion.diagnosis.written import added, built_anew
from companion.records.line import Event, LineRecord

_WHY = {
    "younger": "they were made after {optimizer} was built, which holds other parts of the network",
    "thawed": "they required no gradient when {optimizer} was built, and do now",
    "copy": "the network does not have them; what it has, in brackets, was computed from them once",
    "rest": "{optimizer} holds layers beside theirs, which the loss reaches through them",
    "between": "the loss reaches what {optimizer} holds through them alone, and they are as torch "
    "makes them",
    "own": "they are not frozen, and in no network that {optimizer} holds a part of",
}
_POSSIBLE = ("rest", "between", "own")


@rule(
    "in-no-optimizer",
    why="No optimizer was given them: they get gradients and stay as they are.",
    cure="optimizer = torch.optim.SGD([*net.parameters(), *criterion.parameters()], lr=0.1)",
    section=f"{PAGE}#in-no-optimizer",
)
def in_no_optimizer(ledger: Ledger) -> Iterator[Sighting]:
    """A loss reaches parameters that nobody holds, and something says that this is not meant."""
    hidden = any(event.details.get("unregistered") for _, event in ledger.of("step"))
    for record, event, names in left_out(ledger):
        why, optimizer = event.details["why"], event.name
        cure = added(ledger, optimizer, names)
        if cure is None:
            cure = f"# {ledger.words.stepping(optimizer)} given these as well: add_param_group(...)"
        if why == "network" and (twin := _twin(ledger, optimizer)) is not None:
            number = len(_held(ledger, optimizer))
            words = f"{optimizer} and {twin} were both given the same {number} parameters"
            cure = built_anew(ledger, optimizer, event.details.get("optimizer"), names)
        elif why not in _WHY or (why == "own" and hidden) or _is_replaced(record, event, names):
            continue
        else:
            words = _WHY[why].format(optimizer=ledger.words.stepping(optimizer))
        if why == "copy":
            cure = "# nn.Parameter(...) around what .to(device) or a computation gives, and last"
        yield Sighting(
            record,
            f"the loss reaches {some(names)}, which no optimizer holds: {words}",
            settle="whether they are meant to stay as they are; then requires_grad_(False) saves "
            "their gradients"
            if why in _POSSIBLE
            else None,
            cure=cure,
        )


def left_out(ledger: Ledger) -> Iterator[tuple[LineRecord, Event, tuple[str, ...]]]:
    """Steps with parameters in no optimizer that no line moves, either."""
    held = {name for _, event in ledger.of("step") for name in event.details["held"]}
    last = {  # the tracer has looked whether they move up to each step, but not after the last one
        name: record.index
        for record in ledger.records
        for name in (*record.changed_parameters, *record.changed_others)
    }
    for record, event in ledger.of("unheld"):
        names = tuple(
            name
            for name in event.details["parameters"]
            if name not in held and last.get(name, -1) <= record.index
        )
        if names:
            yield record, event, names


def _is_replaced(record: LineRecord, unheld: Event, names: tuple[str, ...]) -> bool:
    """Whether `other-parameters` tells of them: it knows what the optimizer holds instead."""
    idle = any(
        event.kind == "step" and event.name == unheld.name and event.details.get("idle")
        for event in record.events
    )
    return idle and any(record.before.gradients.get(name) is not None for name in names)


@rule(
    "made-in-forward",
    why="A layer made in forward() has new random weights in each call, and no optimizer knows it.",
    cure="def __init__(self):\n    super().__init__()\n    self.layer = nn.Linear(8, 8)  # once",
    section=f"{PAGE}#made-in-forward",
)
def made_in_forward(ledger: Ledger) -> Iterator[Sighting]:
    """Each forward makes parameters, and the loss reaches them."""
    for record, event in ledger.of("unheld"):
        if event.details["why"] == "forward":
            makers = event.details["parameters"]
            bare = all(maker.startswith("Parameter in ") for maker in makers)
            number = event.details["number"]
            what, which = ("1 parameter", "it") if number == 1 else (f"{number} parameters", "them")
            yield Sighting(
                record,
                f"the loss reaches {what}, made since the step before, that no optimizer holds: "
                f"{some(makers)} makes {which} anew",
                settle="whether it is no weight, but something of the batch whose gradient is "
                "wanted: then x.requires_grad_() says so"
                if bare
                else None,
                cure="# made once, in __init__, and kept as an attribute of self",
            )


def instead(ledger: Ledger) -> Iterator[Sighting]:
    """An optimizer whose parameters no loss reaches, while those that it reaches are in none."""
    for record, event, names in left_out(ledger):
        if event.details["why"] == "instead":
            yield Sighting(
                record,
                f"{ledger.words.stepping(event.name)} moved nothing: no loss has reached any of "
                f"its parameters. It holds others than {some(names)}, which the loss reaches and "
                "no optimizer holds",
                cure=built_anew(ledger, event.name, event.details.get("optimizer"), names),
            )


def _held(ledger: Ledger, optimizer: str) -> set[str]:
    return {
        name
        for _, event in ledger.of("step")
        if event.name == optimizer
        for name in event.details["held"]
    }


def _twin(ledger: Ledger, optimizer: str) -> str | None:
    """Another optimizer that steps with the same parameters."""
    mine = _held(ledger, optimizer)
    others = dict.fromkeys(event.name for _, event in ledger.of("step"))
    return next(
        (one for one in others if mine and one != optimizer and _held(ledger, one) == mine), None
    )


def empty_steps(ledger: Ledger) -> list[tuple[LineRecord, str]]:
    """Backward calls whose only purpose is the step of an optimizer that they give nothing.

    That optimizer has made two steps or more, each right after a backward of its own, none of its
    parameters ever had a gradient, and its network is called with gradients.
    """
    told = {event.name for _, event in ledger.of("unheld") if event.details["why"] == "instead"}
    ever = {
        name
        for record in ledger.records
        for name, gradient in record.after.gradients.items()
        if gradient is not None
    }
    found: list[tuple[LineRecord, str]] = []
    for optimizer in dict.fromkeys(event.name for _, event in ledger.of("step")):
        held = _held(ledger, optimizer)
        steps = [record for record, event in ledger.of("step") if event.name == optimizer]
        if optimizer in told or len(steps) < 2 or not held or not ever.isdisjoint(held):
            continue
        own = [_own_backward(ledger, step) for step in steps]
        calm = all(step.before.requires_grad.get(name) for step in steps for name in held)
        if calm and None not in own and _is_called(ledger, held, len(steps)):
            found += [(record, optimizer) for record in own if record is not None]
    return found


def _own_backward(ledger: Ledger, step: LineRecord) -> LineRecord | None:
    """The backward before a step, if no other step comes between, nor follows without another."""
    found = None
    for record in reversed(ledger.records[: step.index]):
        kinds = {event.kind for event in record.events}
        if "step" in kinds or "scaler step" in kinds:
            break
        if "backward" in kinds:
            found = record
            break
    for record in ledger.records[step.index + 1 :]:
        kinds = {event.kind for event in record.events}
        if "backward" in kinds:
            break
        if "step" in kinds:
            return None
    return found


def _is_called(ledger: Ledger, held: set[str], times: int) -> bool:
    """Whether a network that is held was called with gradients as often as that, or more."""
    networks = {event.name for _, event in ledger.of("forward")}
    return any(
        sum(event.details["grad"] for _, event in ledger.of("forward") if event.name == network)
        >= times
        for network in networks
        if any(name.startswith(f"{network}.") for name in held)
    )


def detached(ledger: Ledger) -> Iterator[Sighting]:
    """A loss that is made for one of several optimizers, and reaches none of its parameters."""
    for record, optimizer in empty_steps(ledger):
        held = _held(ledger, optimizer)
        networks = sorted({name.partition(".")[0] for name in held})
        loss = record.source.partition(".backward(")[0]
        whole = f"{loss}.backward()  # no .detach(), .data or no_grad between it and " + ", ".join(
            networks
        )
        yield Sighting(
            record,
            f"backward() reached none of the {len(held)} parameters that {optimizer} holds, and "
            f"{optimizer} stepped next: in no step that was watched has it had a gradient",
            cure=whole if loss.isidentifier() else None,
        )


@rule(
    "steps-twice",
    why="The same gradient moves the parameters twice: as with a larger learning rate, and twice "
    "in every average that the optimizer keeps.",
    cure="optimizer.step()  # once for every backward()",
    section=f"{PAGE}#steps-twice",
)
def steps_twice(ledger: Ledger) -> Iterator[Sighting]:
    """Two lines step the same optimizer, and nothing has changed a gradient between them."""
    last: dict[str, LineRecord] = {}  # the steps since which no gradient has changed
    for record in ledger.records:
        kinds = [event.kind for event in record.events]
        quiet = not record.changed_gradients and not _NEW.intersection(kinds)
        if not quiet:
            last.clear()
        for event in record.events:
            if event.kind != "step":
                continue
            before, names = last.get(event.name), set(event.details["held"])
            if before is None or before.place == record.place:
                continue
            if _again(before, record, names):
                first = ledger.words.lines(before)
                yield Sighting(
                    record,
                    f"{ledger.words.stepping(event.name)} had stepped on {at(before)}, and no "
                    f"gradient has changed since (norm {norm(record, before=True, only=names)})",
                    cure=first and f"{first}  # {at(before)} alone: once for every backward()",
                )
        if "step" in kinds and not _NEW.intersection(kinds[kinds.index("step") :]):
            last |= {e.name: record for e in record.events if e.kind == "step"}


_NEW = {"backward", "clear", "scaler step"}


def _again(first: LineRecord, second: LineRecord, names: set[str]) -> bool:
    """Whether one step moved some of these by their gradients, and another moved all those again.

    What neither moved says nothing: a bias before a batch norm has a gradient of 0.
    """
    moved = names.intersection(first.changed_parameters)
    gradients = [second.before.gradients.get(name) for name in moved]
    return moved <= set(second.changed_parameters) and any(g and g.norm for g in gradients)
