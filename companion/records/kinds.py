"""What an `Event` can be: one table that says each kind, its details, their types and meanings.

The recognisers write what stands here, the loader refuses what does not fit it, the rules read it.
A kind or a detail that is not here is another release's: it is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Type: TypeAlias = Literal["text", "text?", "texts", "flag", "count", "count?", "counts?", "shape"]


@dataclass(frozen=True, slots=True)
class Detail:
    """One detail of an event.

    Attributes:
        type: "text" a str, "flag" a bool, "count" an int of 0 or more, "texts" a tuple of str,
            "shape" a tuple of counts, "counts?" a tuple of three counts; with "?" it may be None.
        meaning: What it says.
        needed: Whether a rule cannot do without it.
    """

    type: Type
    meaning: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event.

    Attributes:
        meaning: What has happened, and what the event's name then is.
        details: By name.
    """

    meaning: str
    details: Mapping[str, Detail] = field(default_factory=dict)


KINDS = {
    "forward": Kind(
        "A watched network was called; its name.",
        {
            "grad": Detail("flag", "whether gradients were enabled", needed=True),
            "training": Detail("flag", "whether it was in training mode", needed=True),
            "modal": Detail(
                "texts", "classes of its modules that do otherwise in the other mode", needed=True
            ),
        },
    ),
    "backward": Kind(
        "A backward began; no name.",
        {
            "mean": Detail("flag", "whether the loss comes straight from a criterion's mean"),
            "twice": Detail("text?", 'such as "softmax", taken before a criterion that takes it'),
            "classes": Detail("count?", "over how many classes that criterion's softmax ran"),
            "cut": Detail("flag", "whether nothing hangs below the loss"),
            "nodes": Detail("counts?", "of a kept graph: nodes, the oldest's number, the newest's"),
            "inputs": Detail("flag", "whether it was called with inputs=..."),
            "elsewhere": Detail("count", "parameters that it reaches and no watched network has"),
        },
    ),
    "step": Kind(
        "An optimizer has stepped; its name, or its class.",
        {
            "held": Detail("texts", "the watched parameters that it holds", needed=True),
            "idle": Detail("count", "others like those of the network, without a gradient"),
            "unregistered": Detail(
                "texts", "parameters with a gradient that no module has registered"
            ),
        },
    ),
    "unheld": Kind(
        "Nobody holds parameters that the loss before a step has reached; the optimizer's name.",
        {
            "parameters": Detail("texts", "their names, or who makes them", needed=True),
            "number": Detail("count", "how many they are", needed=True),
            "why": Detail("text", "what speaks for a mistake, in a word", needed=True),
            "optimizer": Detail("text?", "the optimizer's class, if it is torch's"),
        },
    ),
    "clear": Kind("A zero_grad; the network's or optimizer's name."),
    "clip": Kind("Gradients are clipped; the function's name."),
    "scale": Kind("A GradScaler scales a loss."),
    "unscale": Kind("A GradScaler divides gradients; the optimizer's name."),
    "scaler step": Kind("A GradScaler steps an optimizer; its name."),
    "schedule": Kind(
        "A scheduler steps; the optimizer's name.",
        {
            "scheduler": Detail("text", "the scheduler's class", needed=True),
            "first": Detail("flag", "whether it is the first time", needed=True),
            "stepped": Detail("flag", "whether the optimizer has stepped before", needed=True),
        },
    ),
    "shapes": Kind(
        "A loss between tensors of different shapes; the function's name.",
        {
            "input": Detail("shape", "the one's shape", needed=True),
            "target": Detail("shape", "the other's", needed=True),
        },
    ),
    "non-leaf": Kind(
        "A `.grad` is read that is never kept; the variable's name.",
        {"made_by": Detail("text", "autograd's name for what made it", needed=True)},
    ),
    "graph kept": Kind(
        "A variable holds a growing graph; its name.",
        {"length": Detail("count", "how many terms or tensors it has by now", needed=True)},
    ),
}
