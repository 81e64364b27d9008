"""What becomes of a network's output on its way to the loss, by the names of variables.

autograd's graph ends where an operation has no gradient: an argmax, a comparison, a list of
numbers. The names of variables go on: `symbol = scores.argmax(1)` reads one and binds another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from companion.diagnosis.ledger import Ledger
from companion.records.line import LineRecord
from companion.records.syntax import reads
from companion.records.value import Value

ON_PURPOSE = (".detach", "no_grad", "inference_mode", "set_grad_enabled", ".data", "stop_grad")
_COUNTED = ("int", "bool", "uint")


class Flow(NamedTuple):
    """A variable that was computed from a network's output.

    Attributes:
        network: The network.
        source: The last variable on the way that has a graph down to the network.
        cut: The line behind which there is none; None as long as there is one.
        is_used: Whether another network has been called since: it is no mask, nor an accuracy.
    """

    network: str
    source: str
    cut: LineRecord | None = None
    is_used: bool = False


def cuts(ledger: Ledger, network: str) -> Iterator[tuple[LineRecord, Flow]]:
    """Backward calls from a loss that a network's output flows into, but no graph of it."""
    flows: dict[str, Flow] = {}
    for record in ledger.records:
        before = [flows[name] for name in reads(record.source) if name in flows]
        kinds = {event.kind for event in record.events}
        is_cut = bool(before) and all(flow.cut is not None and flow.is_used for flow in before)
        if is_cut and "backward" in kinds:
            yield record, before[0]
        called = [event.name for event in record.events if event.kind == "forward"]
        if called and network not in called:
            before = [flow._replace(is_used=True) for flow in before]
        is_call = network in called
        for value in record.values:
            flow = _flow(ledger, record, value, network, before, is_call=is_call)
            if flow is None:
                flows.pop(value.name, None)
            else:
                flows[value.name] = flow


def _flow(
    ledger: Ledger,
    record: LineRecord,
    value: Value,
    network: str,
    before: list[Flow],
    *,
    is_call: bool,
) -> Flow | None:
    """Where a variable that was just bound comes from; None where that is not certain."""
    if not is_call and not before:
        return None
    if value.graph:
        if value.unreached is None:
            return None
        missing = any(name.startswith(f"{network}.") for name in value.unreached)
        if not missing:
            return Flow(network, value.name)
        return next((flow for flow in before if flow.cut is not None), None)
    if is_call:
        return None  # called without gradients, or cut at once
    old = before[0]
    if old.cut is not None:
        return old
    if _is_on_purpose(ledger, record) or not _has_no_gradient(record, value):
        return None
    return Flow(network, old.source, record)


def _has_no_gradient(record: LineRecord, value: Value) -> bool:
    """Whether it lies in what was computed that there is no graph."""
    if value.dtype.startswith(_COUNTED):
        return True
    words = (".argmax(", ".tolist(", ".numpy(", "torch.tensor(", "one_hot(", " > ", " < ", " >= ")
    return any(word in record.source for word in words)


def _is_on_purpose(ledger: Ledger, record: LineRecord) -> bool:
    """Whether a line, or a block around it, asks for no graph."""
    if any(word in record.source for word in ON_PURPOSE):
        return True
    indent = record.indent
    for earlier in reversed(ledger.records[: record.index]):
        if not indent:
            break
        same = earlier.file == record.file and earlier.function == record.function
        if same and earlier.indent < indent:
            indent = earlier.indent
            if any(word in earlier.source for word in ON_PURPOSE):
                return True
    return False
