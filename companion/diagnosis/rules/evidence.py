"""What several rules of the whole routine ask of a trace."""

from __future__ import annotations

import ast
import re
from functools import lru_cache

from companion.diagnosis.backwards import Use
from companion.diagnosis.ledger import Ledger
from companion.records.line import LineRecord
from companion.records.parse import tree_of
from companion.records.statements import is_divided
from companion.records.syntax import read_grads


def has_gradient(use: Use) -> bool:
    """Whether a step found, or made in its closure, any gradient of what its optimizer holds."""
    states = use.record.before, use.record.after
    return any(state.gradients.get(name) is not None for state in states for name in use.held)


# Names with "grad" in them that say nothing of what a gradient is.
_HARMLESS = re.compile(
    r"#.*$|\b(zero_grad|no_grad|enable_grad|set_grad_enabled|is_grad_enabled|requires_grad_?"
    r"|clip_grad_(norm|value)_|create_graph|retain_grad|autograd|GradScaler"
    r"|\w*grad\w*_accum\w*|\w*max_grad\w*|\w*grad_clip\w*)\b",
    re.MULTILINE,
)
_GRADIENT = re.compile(r"grad|fisher|saliency", re.IGNORECASE)
# Does not only clip: `norm = clip_grad_norm_(...)`.
_MEASURES = re.compile(r"(?<!^)\bclip_grad_")
_CLIPS = re.compile(r"^(?:\w+\.)*(?=clip_grad_)")


def reads_gradients(ledger: Ledger) -> bool:
    """Whether a line may read gradients: then they were computed for their own sake."""
    sources = {record.source for record in ledger.records}
    return any(
        read_grads(text)
        or _MEASURES.search(_CLIPS.sub("", text))
        or _GRADIENT.search(_HARMLESS.sub("", text))
        for text in sources
    )


def is_shared(ledger: Ledger, backward: LineRecord) -> bool:
    """Whether the loss is divided, as for a step that several batches share."""
    name = started(backward.source)
    near = [r for r in ledger.records[: backward.index] if r.depth == backward.depth]
    last = next((r for r in reversed(near) if name and binds(r, name)), None)
    return is_divided(backward.source) or (last is not None and is_divided(last.source))


def binds(record: LineRecord, name: str | None) -> bool:
    """Whether a line binds a loss with a graph to that name, and to nothing of what it was."""
    return any(v.name == name and v.graph and v.number is not None for v in record.values)


@lru_cache(maxsize=4096)
def started(text: str) -> str | None:
    """The variable that a backward of a single name begins at: "loss" in `loss.backward()`."""
    body: list[ast.stmt] = getattr(tree_of(text), "body", [])
    call = body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    owner: ast.AST = call.func.value
    if isinstance(owner, ast.Call) and len(owner.args) == 1:  # scaler.scale(loss).backward()
        owner = owner.args[0]
    return owner.id if call.func.attr == "backward" and isinstance(owner, ast.Name) else None
