"""What several rules of the whole routine ask of a trace."""

from __future__ import annotations

import re

from companion.diagnosis.backwards import Use
from companion.diagnosis.ledger import Ledger
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
