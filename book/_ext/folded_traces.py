"""A Sphinx extension: a printed trace that is too wide for a phone stands on the page twice.

As the notebook stores it, and folded, as `print` shows it on a narrow terminal. The style sheet
shows the one that has room.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

from companion.render.narrow import folded

PHONE = 38  # columns that a phone shows, 390 pixels wide


class FoldedTraces(SphinxPostTransform):
    """Adds the narrow form after the wide one."""

    default_priority = 700  # after myst-nb has chosen which form of an output is shown
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Go through all blocks of text."""
        for block in [*self.document.findall(nodes.literal_block)]:
            text = block.astext()
            narrow = folded(text, PHONE)
            if narrow != text and max(map(len, text.splitlines())) > PHONE:
                beside = block.deepcopy()
                beside.children = [nodes.Text(narrow)]
                beside.rawsource = narrow
                block["classes"].append("where-wide")
                beside["classes"].append("where-narrow")
                block.parent.insert(block.parent.index(block) + 1, beside)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_post_transform(FoldedTraces)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
