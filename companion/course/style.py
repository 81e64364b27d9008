"""How the course's figures look: one palette, and pictures that are the same text every time."""

from __future__ import annotations

import sys

from companion.course.extras import require

# Name → colour on white paper. The built book draws the same names in its own light and dark.
PALETTE = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "muted": "#59636e",
    "rule": "#d1d9e0",
    "changed": "#fff3c4",
    "frame": "#9a6700",
    "blue": "#0550ae",
    "orange": "#bc4c00",
    "green": "#116329",
    "violet": "#6639ba",
}

RC = {
    "figure.facecolor": PALETTE["paper"],
    "axes.facecolor": PALETTE["paper"],
    "savefig.facecolor": PALETTE["paper"],
    "text.color": PALETTE["ink"],
    "axes.labelcolor": PALETTE["ink"],
    "axes.titlecolor": PALETTE["ink"],
    "axes.edgecolor": PALETTE["muted"],
    "xtick.color": PALETTE["muted"],
    "ytick.color": PALETTE["muted"],
    "xtick.labelcolor": PALETTE["ink"],
    "ytick.labelcolor": PALETTE["ink"],
    "grid.color": PALETTE["rule"],
    "legend.edgecolor": PALETTE["rule"],
    "legend.facecolor": PALETTE["paper"],
    "legend.framealpha": 1.0,
    "lines.color": PALETTE["blue"],
    "patch.edgecolor": PALETTE["ink"],
    "font.size": 10,
    "text.usetex": False,  # code is no TeX, whatever the reader's own figures are
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "training-routine",  # the same figure is the same text
}


def course_style() -> None:
    """Draw this notebook's figures as the course does: crisp SVG, the course's colours.

    Sets matplotlib's rcParams for the whole session and, where IPython runs, its inline figures
    to SVG without a date, so that the same figure is always the same text.

    Raises:
        ImportError: If matplotlib is missing; it comes with the extra "plot".

    Example:
        >>> course_style()
        >>> import matplotlib
        >>> matplotlib.rcParams["svg.fonttype"]
        'none'
    """
    matplotlib = require("matplotlib", extra="plot", purpose="course_style()")
    cycler = require("cycler", extra="plot", purpose="course_style()")
    matplotlib.rcParams.update(RC)
    series = [PALETTE[name] for name in ("blue", "orange", "green", "violet")]
    matplotlib.rcParams["axes.prop_cycle"] = cycler.cycler(color=series)
    ipython = sys.modules.get("IPython")
    if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
        inline = require("matplotlib_inline.backend_inline", extra="plot", purpose="course_style()")
        inline.set_matplotlib_formats("svg", metadata={"Date": None})
