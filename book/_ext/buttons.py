"""A Sphinx extension: buttons that open a chapter where it can be run.

The address of the repository is `course_repository` in `_config.yml`, where `make address` writes
it. Without one there are no buttons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from repository import Address

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx


def offer(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Name the services that can run this page's notebook, for the template."""
    address = Address(app.config.course_repository, app.config.course_branch)
    source = context.get("sourcename", "")
    context["launches"] = address.launches(f"book/{source}") if source.endswith(".ipynb") else {}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.add_config_value("course_repository", "", "html")
    app.add_config_value("course_branch", "main", "html")
    app.connect("html-page-context", offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
