"""Steps that move nothing, or the wrong thing; and gradients that are None."""

from __future__ import annotations

from collections.abc import Iterator

from companion.ledger import Ledger
from companion.rules.table import Sighting, brief, norm, rule, some
from companion.syntax import rebound_with_grad


@rule(
    "no-gradient",
    why="Between the loss and the parameters the graph is cut, so nothing learns.",
    cure="loss = criterion(net(inputs), labels)  # no .detach(), .data or no_grad between",
    section="graphs-that-are-cut",
)
def no_gradient(ledger: Ledger) -> Iterator[Sighting]:
    """A backward that reaches no parameter."""
    reached = bool(ledger.backwards)
    reaching = {one.record.place for one in ledger.backwards}
    empty = any(use.held and not use.backwards for use in ledger.uses)
    for record, event in ledger.of("backward"):
        nothing = not record.changed_gradients and not record.raised
        if not nothing or event.details.get("inputs") or record.changed_parameters:
            continue
        if record.place in reaching:
            continue  # a batch without anything to learn from
        trainable = [name for name, wanted in record.after.requires_grad.items() if wanted]
        if event.details.get("cut"):
            frozen = "" if trainable else ", and no parameter requires a gradient"
            yield Sighting(
                record,
                f"backward() changed none of {len(record.after.gradients)} gradients: the loss it "
                f"started from has no graph below it, only requires_grad set on itself{frozen}",
            )
        elif not reached and trainable and empty:
            yield Sighting(
                record,
                f"backward() changed none of {len(trainable)} gradients, and the optimizer "
                "stepped without any",
            )


@rule(
    "other-parameters",
    why="The optimizer holds Parameter objects that the network no longer uses, and step() moves "
    "those.",
    cure="optimizer = torch.optim.SGD(net.parameters(), lr=0.1)  # after the network is complete",
    section="parameters-nobody-moves",
)
def other_parameters(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters with gradients in no optimizer, and an optimizer with parameters in no network."""
    held = {name for use in ledger.uses for name in use.held}
    moved = {name for record in ledger.records for name in record.changed_parameters}
    for record, event in ledger.of("step"):
        idle = event.details.get("idle", 0)
        left = [
            name
            for name, reading in record.before.gradients.items()
            if reading is not None and name not in held and name not in moved
        ]
        if idle and left:
            yield Sighting(
                record,
                f"{event.name} moved none of {some(left)}, which have a gradient; instead it holds "
                f"{idle} of such a shape, without a gradient, that no watched network has",
            )


@rule(
    "unregistered",
    why="Layers in a plain list or dict are not in net.parameters(), so no optimizer moves them.",
    cure="self.layers = nn.ModuleList([...])  # or nn.ModuleDict, nn.Sequential",
    section="parameters-nobody-moves",
)
def unregistered(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters with a gradient in plain containers, held by no optimizer."""
    for record, event in ledger.of("step"):
        hidden = event.details.get("unregistered", ())
        if hidden:
            yield Sighting(
                record,
                f"{event.name} did not move {some(list(hidden))}: they have a gradient, and "
                "net.parameters() does not give them",
            )


@rule(
    "never-moves",
    why="The name on the left is bound to a new tensor; the network's parameter stays as it is.",
    cure="with torch.no_grad():\n    w -= lr * w.grad  # in place",
    section="parameters-nobody-moves",
)
def never_moves(ledger: Ledger) -> Iterator[Sighting]:
    """`w = w - lr * w.grad`, and no parameter ever changes."""
    if any(record.changed_parameters for record in ledger.records):
        return
    for record in ledger.records:
        name = None if record.raised else rebound_with_grad(record.source)
        if name is not None and not name.endswith(".grad") and ledger.backwards:
            yield Sighting(
                record,
                f"it made a new tensor and called it {name}; after {len(ledger.backwards)} "
                f"backward calls none of {len(record.after.parameters)} parameters has changed",
            )


@rule(
    "frozen-moves",
    why="A gradient of 0 is still a gradient: weight decay and momentum go on moving it.",
    cure="p.requires_grad_(False)\np.grad = None  # None is skipped by step(), 0 is not",
    section="none-and-zero",
)
def frozen_moves(ledger: Ledger) -> Iterator[Sighting]:
    """A step changes parameters that do not require a gradient."""
    for record, event in ledger.of("step"):
        frozen = [
            name
            for name in event.details["held"]
            if name in record.changed_parameters
            and record.before.requires_grad.get(name) is False
            and (gradient := record.before.gradients.get(name)) is not None
            and gradient.norm == 0  # another one was put there on purpose
        ]
        if frozen:
            size = norm(record, before=True, only=set(frozen))
            yield Sighting(
                record,
                f"{event.name} moved {some(frozen)}, frozen by requires_grad=False: their "
                f"gradients (norm {size}) are not None",
            )


@rule(
    "none-gradient",
    why="A gradient that was never computed, or was cleared, is None, which is not 0.",
    cure="if p.grad is not None:\n    ...",
    section="none-and-zero",
)
def none_gradient(ledger: Ledger) -> Iterator[Sighting]:
    """Arithmetic on a `.grad` that is None raises."""
    for record in ledger.records:
        if record.raised and "NoneType" in record.raised and ".grad" in record.source:
            absent = [n for n, reading in record.before.gradients.items() if reading is None]
            if absent:
                yield Sighting(
                    record,
                    f"{brief(record.raised)}; at that moment .grad was None for {some(absent)}",
                )


@rule(
    "non-leaf-grad",
    why="backward() keeps gradients of leaves only; this tensor was computed from another one.",
    cure="x.retain_grad()  # before backward(); or ask the leaf it was computed from",
    section="none-and-zero",
)
def non_leaf_grad(ledger: Ledger) -> Iterator[Sighting]:
    """The `.grad` of a tensor that is no leaf."""
    for record, event in ledger.of("non-leaf"):
        yield Sighting(
            record,
            f"it read {event.name}.grad, and {event.name} is no leaf: {event.details['made_by']} "
            "made it. Its .grad is None, with a warning",
        )


@rule(
    "not-finite",
    why="Once a parameter is NaN or infinite, every loss computed with it is.",
    cure="optimizer = torch.optim.SGD(net.parameters(), lr=0.01)  # a smaller lr, or clipping",
    section="gradients-that-explode",
)
def not_finite(ledger: Ledger) -> Iterator[Sighting]:
    """Parameters become NaN or infinite."""
    for record in ledger.records:
        spoilt = [
            name
            for name in record.changed_parameters
            if record.after.requires_grad.get(name, True)
            and (now := record.after.parameters.get(name)) is not None
            and now.nonfinite
            and ((was := record.before.parameters.get(name)) is None or not was.nonfinite)
        ]
        if spoilt:
            earlier = [r for r in ledger.records[: record.index] if r.line == record.line]
            norms = [norm(r, before=True) for r in [*earlier[-3:], record]]
            yield Sighting(
                record,
                f"{some(spoilt)} became NaN or infinite; the norm of all gradients before this "
                f"line, the last times it ran: {', '.join(norms)}",
            )
            return
