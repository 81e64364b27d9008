"""What a line did, in a few words: to gradients, to parameters, to what else there is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from companion.probes import Reading, combine
from companion.records import LineRecord, State


def notes(record: LineRecord) -> tuple[str, str]:
    """What the line did to the gradients, and to the parameters."""
    return (
        _note(record.changed_gradients, record.before.gradients, record.after.gradients),
        _note(record.changed_parameters, record.before.parameters, record.after.parameters),
    )


def _note(
    changed: Sequence[str],
    before: Mapping[str, Reading | None],
    after: Mapping[str, Reading | None],
) -> str:
    """Such as "10 None → value, norm 2.31"; "" where nothing changed."""
    if not changed:
        return ""
    kinds = Counter(_transition(before.get(name), after.get(name)) for name in changed)
    note = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    total = combine(after.values())
    if total is not None:
        note += f", norm {total.norm:.4g}"
        if total.nonfinite:
            note += f", {total.nonfinite} not finite"
    return note


def _transition(before: Reading | None, after: Reading | None) -> str:
    if before is None:
        return "None → value"
    return "value → None" if after is None else "changed"


def also(before: State, after: State) -> list[str]:
    """Learning rates, modes, requires_grad and scale, where the line changed them."""
    said = []
    for name, rates in after.learning_rates.items():
        was = before.learning_rates.get(name, ())
        for old, new in dict.fromkeys(zip(was, rates, strict=False)):
            if old != new:
                said.append(f"lr {old:.4g} → {new:.4g}")
    if after.training is not before.training:
        flipped = [n for n, mode in after.training.items() if before.training.get(n, mode) != mode]
        modes = {after.training[name] for name in flipped}
        said += [f"{len(flipped)} modules → {'train' if m else 'eval'}" for m in sorted(modes)]
    if after.requires_grad is not before.requires_grad:
        now = after.requires_grad
        for wanted in (False, True):
            count = sum(w is wanted and before.requires_grad.get(n, w) != w for n, w in now.items())
            if count:
                said.append(f"{count} requires_grad → {wanted}")
    if after.scale is not None and before.scale is not None and after.scale != before.scale:
        said.append(f"scale {before.scale:g} → {after.scale:g}")
    return said
