"""Pictures that a reader operates: sliders in the page, without a kernel or a network."""

from __future__ import annotations

from companion.course.operate.valley import CLASSES, Valley, asset, valley

__all__ = ["CLASSES", "Valley", "asset", "valley"]
