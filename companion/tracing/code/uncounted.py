"""Which code can write into a tensor without its version counter noticing.

Every in-place operation of torch counts a tensor's `_version` up, also under `no_grad`. What gets
past the counter has to reach for the tensor's memory by one of a few attributes, `.data` above
all. `reaches_past` says which lines of a code object do, so that only there values must be
compared.
"""

from __future__ import annotations

import dis
from types import CodeType

from torch.optim.optimizer import Optimizer

from companion.records.syntax import PAST_THE_COUNTER
from companion.tracing.measure.watched import groups

_NAMED = frozenset({"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "LOAD_SUPER_ATTR"})


def reaches_past(code: CodeType) -> frozenset[int]:
    """Numbers of the lines that reach past the version counter; empty for almost all code.

    Example:
        >>> def decay(p):
        ...     p.mul_(0.9)
        ...     p.data.mul_(0.9)
        >>> [line - decay.__code__.co_firstlineno for line in reaches_past(decay.__code__)]
        [2]
    """
    texts = [constant for constant in code.co_consts if isinstance(constant, str)]
    if PAST_THE_COUNTER.isdisjoint([*code.co_names, *texts]):  # spares most code the long look
        return frozenset()
    lines, current = set(), code.co_firstlineno
    for instruction in dis.get_instructions(code):
        current = _line(instruction) or current
        # A name is an attribute; a text may be one: getattr(p, "data").
        named = instruction.opname in _NAMED or instruction.opname == "LOAD_CONST"
        if named and instruction.argval in PAST_THE_COUNTER:
            lines.add(current)
    return frozenset(lines)


def _line(instruction: dis.Instruction) -> int | None:
    """The instruction's line: Python 3.13 gives it for each, older ones where a line starts."""
    line: int | None = getattr(instruction, "line_number", None) or instruction.starts_line
    return line


def unscales(code: CodeType) -> bool:
    """Whether code calls what GradScaler divides all gradients with: that counts no write either.

    Example:
        >>> from torch.amp.grad_scaler import GradScaler
        >>> unscales(GradScaler._unscale_grads_.__code__)
        True
    """
    return "_amp_foreach_non_finite_check_and_unscale_" in code.co_names


_STATISTICS = {
    "batch_norm", "instance_norm", "native_batch_norm", "_native_batch_norm_legit",
    "cudnn_batch_norm", "miopen_batch_norm", "batch_norm_gather_stats_with_counts",
    "batch_norm_update_stats",
}  # fmt: skip


def moves_statistics(code: CodeType) -> bool:
    """Whether code calls what moves running statistics: torch counts no write of a batch norm's.

    Example:
        >>> import torch
        >>> moves_statistics(torch.nn.functional.batch_norm.__code__)
        True
    """
    return not _STATISTICS.isdisjoint(code.co_names)


def counts_no_writes(optimizer: Optimizer) -> bool:
    """Whether an optimizer's step may write without counting: torch's fused ones do so on a CPU.

    Of an optimizer that is neither torch's nor ours nobody knows.
    """
    ours = type(optimizer).__module__.partition(".")[0] in ("torch", "companion")
    return not ours or any(group.get("fused") is True for group in groups(optimizer))
