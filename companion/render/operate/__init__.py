"""Pictures that a reader operates: sliders in the page, without a kernel or a network."""

from __future__ import annotations

from companion.render.operate.fragment import Operated
from companion.render.operate.valley import valley
from companion.render.operate.weight import weight

__all__ = ["Operated", "valley", "weight"]
