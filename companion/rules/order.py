"""Order around the step: scheduler, clipping, mixed precision, forward and backward."""

from __future__ import annotations

from collections.abc import Iterator

from companion.ledger import Ledger
from companion.records import LineRecord
from companion.rules.table import Sighting, at, brief, norm, of, retained, rule


@rule(
    "scheduler-first",
    why="The schedule is one step ahead, and its first learning rate is never used.",
    cure="optimizer.step()\nscheduler.step()  # after it",
    section="order-around-the-step",
)
def scheduler_first(ledger: Ledger) -> Iterator[Sighting]:
    """The first call of a scheduler's step comes before any optimizer step."""
    if any(True for _ in ledger.of("scaler step")):
        return  # GradScaler may have skipped the first step
    for record, event in ledger.of("schedule"):
        later = next((use for use in ledger.uses if use.record.index >= record.index), None)
        before = any(use.record.index < record.index for use in ledger.uses)
        resumed = [r for r, e in ledger.of("schedule") if later and r.index < later.record.index]
        if len(resumed) > 1:
            continue  # brought to where a training had stopped
        stepped = event.details["stepped"] or before
        if event.details["first"] and not stepped and later is not None:
            was = record.before.learning_rates.get(event.name)
            now = later.record.before.learning_rates.get(event.name)
            yield Sighting(
                record,
                f"{event.details['scheduler']} stepped before {event.name} ever had: "
                f"{at(later.record)} began with a learning rate of {_rates(now)}, "
                f"not {_rates(was)}",
            )


def _rates(rates: tuple[float, ...] | None) -> str:
    return ", ".join(f"{rate:.4g}" for rate in dict.fromkeys(rates or ()))


@rule(
    "clip-after-step",
    why="The step has used them as they were: the clipping has no effect.",
    cure="loss.backward()\ntorch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)\noptimizer.step()",
    section="order-around-the-step",
)
def clip_after_step(ledger: Ledger) -> Iterator[Sighting]:
    """Gradients are clipped when a step has used them already."""
    for record in ledger.late_clips:
        yield Sighting(
            record,
            f"it shrank the gradients from norm {norm(record, before=True)} to {norm(record)} "
            "after the step had used them",
        )


@rule(
    "clip-before-unscale",
    why="The gradients still carry GradScaler's factor: the threshold is that many times too low.",
    cure="scaler.unscale_(optimizer)\ntorch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)",
    section="order-around-the-step",
)
def clip_before_unscale(ledger: Ledger) -> Iterator[Sighting]:
    """Gradients are clipped while they are scaled."""
    for record, _ in _while_scaled(ledger, "clip"):
        yield Sighting(
            record,
            f"it clipped gradients that are still scaled{_factor(record)}: their norm was "
            f"{norm(record, before=True)}",
        )


@rule(
    "step-without-unscale",
    why="The step follows gradients that still carry GradScaler's factor.",
    cure="scaler.step(optimizer)  # unscales first, skips a step with infinities\nscaler.update()",
    section="order-around-the-step",
)
def step_without_unscale(ledger: Ledger) -> Iterator[Sighting]:
    """An optimizer steps while its gradients are scaled."""
    for record, clipped in _while_scaled(ledger, "step"):
        after = ", after clipping" if clipped else ""
        yield Sighting(
            record,
            f"it stepped with gradients that were scaled{_factor(record)} and never unscaled: "
            f"their norm was {norm(record, before=True)}{after}",
        )


def _factor(record: LineRecord) -> str:
    return "" if record.before.scale is None else f" by {record.before.scale:g}"


def _while_scaled(ledger: Ledger, kind: str) -> Iterator[tuple[LineRecord, bool]]:
    """Lines with this event between a scaled backward and its unscaling; and were they clipped?"""
    scaling, clipped = False, False
    scaled: set[str] = set()
    for record in ledger.records:
        kinds = [event.kind for event in record.events]
        changed = set(record.changed_gradients)
        if "backward" not in kinds and "clip" not in kinds:
            scaled -= changed  # unscaled by hand, or cleared
        for event in record.events:
            if event.kind == "scale":
                scaling = record.before.scale != 1
            elif event.kind == "backward":
                scaled = scaled | changed if scaling else scaled
                scaling, clipped = False, False
            elif event.kind in ("unscale", "scaler step", "clear"):
                scaled = set()
            elif event.kind == kind:
                moved = changed if kind == "clip" else set(event.details["held"])
                if scaled & moved:
                    yield record, clipped
            clipped |= event.kind == "clip"


@rule(
    "step-before-backward",
    why="backward() needs the parameters as they were in the forward, and step() has changed them.",
    cure="loss.backward()  # all backward calls first\noptimizer.step()",
    section="order-around-the-step",
)
def step_before_backward(ledger: Ledger) -> Iterator[Sighting]:
    """A line changes parameters between a forward and its backward."""
    for record in ledger.records:
        if not record.raised or "modified by an inplace operation" not in record.raised:
            continue
        if retained(record) is not None:
            continue  # `graph-grows` knows better
        for earlier in reversed(ledger.records[: record.index]):
            if earlier.changed_parameters:
                yield Sighting(
                    earlier,
                    f"it changed {len(earlier.changed_parameters)} parameters between a forward "
                    f"and the backward on {at(record)}, which raised: {brief(record.raised)}",
                )
                break


@rule(
    "step-a-batch-late",
    why="The gradient belongs to the parameters before the step, and moves those after it.",
    cure="loss.backward()\noptimizer.step()  # after the backward of the same batch",
    section="order-around-the-step",
)
def step_a_batch_late(ledger: Ledger) -> Iterator[Sighting]:
    """The same where nothing raises: a network that does not need its parameters in backward."""
    pending: dict[str, LineRecord | None] = {}  # network → the step since its last forward
    networks = {event.name for _, event in ledger.of("forward")}
    for record in ledger.records:
        for event in record.events:
            if event.kind == "forward" and event.details["grad"]:
                pending[event.name] = None
            elif event.kind == "backward":
                for name in networks:
                    step = pending.pop(name, None)
                    if step is not None and of(name, networks, record.changed_gradients):
                        yield Sighting(
                            step,
                            f"it stepped after the forward of {name} and before the backward on "
                            f"{at(record)} that belongs to that forward",
                            settle="whether each step is meant to use the batch before",
                        )
            elif event.kind == "step":
                for name in networks.intersection(pending):
                    if of(name, networks, record.changed_parameters):
                        pending[name] = pending[name] or record
