"""A long narrow valley whose paths of SGD and Adam follow sliders.

The fragment is complete without scripts: a picture of the paths, computed here by `torch.optim`,
and how far from the bottom each ends. Where scripts run, `valley.js` shows the sliders and
computes the same paths anew. It asks nothing of any network, kernel or library, takes its
colours from the page around it, and the same call is always the same text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import torch

from companion.render.operate.fragment import Operated, operated, slider

STEEP = (1.0, 20.0)  # along a, along b
BOTTOM = (2.0, 1.0)
START = (-3.0, 2.0)
LEVELS = (0.25, 1, 3, 6, 10, 15)
LEFT, TOP, UNIT = -3.5, 2.6, 60  # of the picture: its corner, and the pixels of a unit
WIDTH, HEIGHT = 480, 192

# All that a reader is told: what a translation replaces.
WORDS = {
    "near": "{name}: {distance} from the bottom after {steps} steps",
    "away": "{name}: {distance} from the bottom after {steps} steps, farther than at the start",
    "picture": "Contour lines of a long narrow valley, and a path of dots from its slope",
}
OPTIMIZERS = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}
RANGES = {  # of a slider: least, most, step
    ("SGD", "lr"): (0, 0.12, 0.005),
    ("SGD", "momentum"): (0, 0.95, 0.05),
    ("Adam", "lr"): (0, 1, 0.05),
}
SCRIPT = Path(__file__).with_name("valley.js")


def valley(*, steps: int = 30, **optimizers: Mapping[str, float]) -> Operated:
    """The valley of the chapters, with a path for each optimizer and a slider for each option.

    The loss is (a - 2)² / 2 + 20 (b - 1)² / 2, and every path starts at a = -3, b = 2.

    Args:
        steps: How many steps each path takes, at least 1.
        **optimizers: One or two of SGD and Adam; each with the options that get a slider, and
            where that slider starts: SGD with lr and momentum, Adam with lr. Options that are not
            named keep torch's default.

    Raises:
        ValueError: If there is no such optimizer, no such slider, or its start is out of range.

    Example:
        >>> valley(SGD={"lr": 0.09, "momentum": 0.0})
        <Operated: Valley>
        >>> "SGD: 0.30 from the bottom after 30 steps" in valley(SGD={"lr": 0.09}).html
        True
    """
    if not optimizers or steps < 1:
        raise ValueError("a valley needs an optimizer and at least one step")
    for name, options in optimizers.items():
        for option, value in options.items():
            if (name, option) not in RANGES:
                raise ValueError(f"there is no slider for {option!r} of {name!r}")
            least, most, _ = RANGES[name, option]
            if not least <= value <= most:
                raise ValueError(f"{option} of {name} is {value}, not from {least} to {most}")
        if "lr" not in options:
            raise ValueError(f"{name!r} needs an lr")
    paths = [points(name, options, steps) for name, options in optimizers.items()]
    drawn = "".join(_path(i, path) for i, path in enumerate(paths))
    said = "".join(
        f'<p>{_key(i)}<span data-name="{name}">{_said(name, path)}</span></p>\n'
        for i, (name, path) in enumerate(zip(optimizers, paths, strict=True))
    )
    sliders = "".join(
        slider(
            option,
            f"{name} {option}" if len(optimizers) > 1 else option,
            RANGES[name, option],
            value,
            name,
        )
        for name, options in optimizers.items()
        for option, value in options.items()
    )
    words = json.dumps({key: WORDS[key] for key in ("near", "away")})
    data = {"steps": str(steps), "words": words}
    return operated("Valley", SCRIPT, data, _picture(drawn), said, sliders)


def points(name: str, options: Mapping[str, float], steps: int) -> list[list[float]]:
    """Every place of a path by `torch.optim`, in float64: steps + 1 pairs of a and b."""
    place = torch.tensor(START, dtype=torch.float64, requires_grad=True)
    optimizer = OPTIMIZERS[name]([place], **options)
    path: list[list[float]] = [place.tolist()]
    for _ in range(steps):
        apart = place.detach() - torch.tensor(BOTTOM, dtype=torch.float64)
        place.grad = torch.tensor(STEEP, dtype=torch.float64) * apart
        optimizer.step()
        path.append(place.tolist())
    return path


def _said(name: str, path: Sequence[Sequence[float]]) -> str:
    end = math.dist(path[-1], BOTTOM)
    kind = "away" if end > math.dist(START, BOTTOM) else "near"
    distance = f"{end:.2f}" if end < 1000 else re.sub(r"e\+0*", "e+", f"{end:.1e}")
    return escape(WORDS[kind].format(name=name, steps=len(path) - 1, distance=distance))


def _spot(a: float, b: float) -> str:
    pixels = UNIT * (a - LEFT), UNIT * (TOP - b)
    return " ".join(f"{min(9999.0, max(-9999.0, pixel)):.1f}" for pixel in pixels)


def _path(i: int, path: Sequence[Sequence[float]]) -> str:
    spots = [_spot(*place) for place in path]
    dots = "".join(f"M{spot}h0" for spot in spots)
    return (
        f'<path class="ro-{i} ro-line" d="M{"L".join(spots)}"/>\n'
        f'<path class="ro-{i} ro-dots" d="{dots}"/>\n'
    )


def _key(i: int) -> str:
    return (
        '<svg class="ro-key" viewBox="0 0 34 14" aria-hidden="true">'
        f'<path class="ro-{i} ro-line" d="M0 7H34"/>'
        f'<path class="ro-{i} ro-dots" d="M17 7h0"/></svg>'
    )


def _picture(drawn: str) -> str:
    """The same length along both axes is the same distance; the contours are ellipses."""
    x, y = _spot(*BOTTOM).split()
    rings = "".join(
        f'<ellipse cx="{x}" cy="{y}" rx="{UNIT * math.sqrt(2 * level / STEEP[0]):.1f}" '
        f'ry="{UNIT * math.sqrt(2 * level / STEEP[1]):.1f}"/>\n'
        for level in LEVELS
    )
    below = "".join(
        f'<text x="{UNIT * (a - LEFT) + 30:.0f}" y="{HEIGHT + 20}" '
        f'text-anchor="middle">{a}</text>\n'
        for a in (-2, 0, 2, 4)
    )
    beside = "".join(
        f'<text x="24" y="{UNIT * (TOP - b) + 9:.0f}" text-anchor="end">{b}</text>\n'
        for b in (0, 1, 2)
    )
    return (
        f'<svg class="ro-picture" viewBox="0 0 {WIDTH + 36} {HEIGHT + 30}" role="img" '
        f'aria-label="{escape(WORDS["picture"])}">\n'
        f'<svg x="30" y="4" width="{WIDTH}" height="{HEIGHT}">\n{rings}'
        f'<rect width="{WIDTH}" height="{HEIGHT}"/>\n'
        f'<path class="ro-bottom" d="M{x} {y}m-8 0h16m-8 -8v16"/>\n{drawn}</svg>\n{below}{beside}'
        f'<text x="{30 + WIDTH}" y="{HEIGHT + 20}" text-anchor="end">a</text>\n'
        '<text x="24" y="16" text-anchor="end">b</text>\n</svg>\n'
    )
