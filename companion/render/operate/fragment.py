"""What a reader operates: a fragment of HTML that a notebook shows and that can be saved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from companion.render.page import asset, page

STYLE = Path(__file__).with_name("operate.css")
CLASSES = "ro mathjax_ignore tex2jax_ignore"  # brackets and dollars make no formula


@dataclass(frozen=True, slots=True)
class Operated:
    """A picture with sliders; a notebook shows it when it ends a cell.

    Attributes:
        title: The title of its page.
        html: The fragment.
        assets: The script and the style sheet that it brings.
    """

    title: str
    html: str
    assets: tuple[Path, ...]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a page of its own, which any browser opens, offline too.

        Args:
            path: The file; an existing one is replaced.

        Raises:
            OSError: If the file cannot be written.
        """
        Path(path).write_text(page(self.title, self.html, self.assets), encoding="utf-8")

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return f"<Operated: {self.title}>"


def operated(
    title: str, script: Path, data: Mapping[str, str], picture: str, said: str, sliders: str
) -> Operated:
    """Put the parts together: without the script the sliders are hidden and the rest is whole.

    Args:
        title: The title of a page that holds it.
        script: What shows the sliders and answers them; finds its fragments by its own name.
        data: What the script is told.
        picture: HTML that is complete.
        said: HTML that is read aloud when it changes.
        sliders: Each as `slider` gives it.
    """
    told = "".join(f' data-{key}="{escape(value)}"' for key, value in data.items())
    html = (
        f'<div class="routine-{script.stem} {CLASSES}" dir="ltr" lang="en"{told}>\n'
        f"<style>{asset(STYLE)}</style>\n{picture}"
        f'<div aria-live="polite">\n{said}</div>\n'
        f'<div class="ro-sliders" hidden>\n{sliders}</div>\n'
        f"<script>{asset(script)}</script>\n</div>\n"
    )
    return Operated(title, html, (STYLE, script))


def slider(
    name: str, label: str, values: tuple[float, float, float], value: float, of: str = ""
) -> str:
    """One slider: its name, its label, the least, the most and the step of its values."""
    least, most, step = values
    return (
        f'<div class="ro-slider"><span>{label}</span><input type="range" name="{name}" '
        f'data-of="{of}" aria-label="{label}" autocomplete="off" min="{least}" max="{most}" '
        f'step="{step}" value="{value:g}"><span>{value:g}</span></div>\n'
    )
