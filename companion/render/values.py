"""What a line bound to variables, and which buffers it moved, in a few words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from companion.records.line import LineRecord
from companion.records.value import Value
from companion.records.visible import visible

MOST = 3  # variables, names and kinds that are told one by one
RUNS = 4  # numbers that are told one by one


def beside(runs: Sequence[LineRecord]) -> str:
    """What one run of a line, or several, bound and moved beside gradients and parameters.

    Such as "loss 2.31 → 2.18, reaches 10 of 10 parameters; buffers: 2 running_mean".

    Args:
        runs: Records of the same line, in order; the last one stands for all where they differ.
    """
    last = next((run for run in reversed(runs) if run.values), runs[-1])  # a loop's end binds none
    said = [
        _told([one for run in runs for one in run.values if one.name == value.name], last)
        for value in last.values[:MOST]
    ]
    if len(last.values) > MOST:
        said.append(f"and {len(last.values) - MOST} more")
    moved = next((run.changed_buffers for run in reversed(runs) if run.changed_buffers), ())
    if moved:
        said.append(_buffers(moved))
    others = next((run.changed_others for run in reversed(runs) if run.changed_others), ())
    networks = Counter(name.partition(".")[0] for name in others)
    said += [f"{visible(name)}: {count} changed" for name, count in networks.items()]
    return "; ".join(said)


def _buffers(names: Sequence[str]) -> str:
    kinds = Counter(name.rpartition(".")[2] for name in names)
    if len(kinds) > MOST:
        return f"buffers: {len(names)} changed"
    return "buffers: " + ", ".join(f"{count} {visible(kind)}" for kind, count in kinds.items())


def _told(runs: Sequence[Value], record: LineRecord) -> str:
    """One variable: its numbers or its shapes, and what a backward from it would reach."""
    last = runs[-1]
    said = f"{visible(last.name)} {_numbers(runs)}"
    lost = max(value.nonfinite or 0 for value in runs)
    if lost and last.number is None:
        said += f", {lost} not finite"
    with_graph = [value for value in runs if value.graph]
    if with_graph and len(with_graph) < len(runs):
        said += f", with a graph in {len(with_graph)} of {len(runs)} runs"
    if with_graph and with_graph[-1].unreached is not None:
        said += _reached(with_graph[-1].unreached, record)
    return said


def _numbers(runs: Sequence[Value]) -> str:
    told = [_number(value) for value in runs]
    if runs[-1].number is None:
        told = [one for one, before in zip(told, [None, *told], strict=False) if one != before]
    if len(told) > RUNS:
        told = [*told[:2], "…", told[-1]]
    return " → ".join(told)


def _number(value: Value) -> str:
    if value.number is None:
        if value.shape is None:
            return visible(value.dtype)
        return f"{visible(value.dtype)} {list(value.shape)}"
    whole = "float" not in value.dtype and value.number.is_integer()
    return str(int(value.number)) if whole else f"{value.number:.4g}"


def _reached(unreached: Sequence[str], record: LineRecord) -> str:
    wanted = [name for name, needed in record.after.requires_grad.items() if needed]
    if not wanted:
        return ""
    missing = set(unreached)
    count = sum(name not in missing for name in wanted)
    said = f", reaches {count} of {len(wanted)} parameter{'s' if len(wanted) > 1 else ''}"
    parts = _parts(wanted, missing) if count else []
    return f"{said}, not {', '.join(parts)}" if parts else said


def _parts(wanted: Sequence[str], missing: set[str]) -> list[str]:
    """What is not reached: whole layers or networks by their own name, else parameters."""
    tops = Counter(name.partition(".")[0] for name in wanted)
    gone = Counter(name.partition(".")[0] for name in wanted if name in missing)
    whole = {top for top, count in gone.items() if 1 < count == tops[top]}
    parts = dict.fromkeys(
        top if (top := name.partition(".")[0]) in whole else name
        for name in wanted
        if name in missing
    )
    shown = [visible(part) for part in parts]
    return shown if len(shown) <= MOST else [*shown[:MOST], f"{len(shown) - MOST} more"]
