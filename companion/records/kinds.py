"""What an `Event` can be: one table that says each kind, its details, their types and meanings.

The recognisers write what stands here, the loader refuses what does not fit it, the rules read it.
A kind or a detail that is not here is another release's: it is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Type: TypeAlias = Literal[
    "text",
    "text?",
    "texts",
    "flag",
    "count",
    "count?",
    "counts",
    "counts?",
    "shape",
    "shape?",
]


@dataclass(frozen=True, slots=True)
class Detail:
    """One detail of an event.

    Attributes:
        type: "text" a str, "flag" a bool, "count" an int of 0 or more, "texts" a tuple of str,
            "shape" and "counts" a tuple of counts, "counts?" one of three; with "?" or None.
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
            "modal": Detail("texts", "what in it does otherwise in the other mode", needed=True),
            "number": Detail("count", "of the only network: which of its forwards with a graph"),
            "batch": Detail("text?", "shape and sums of its inputs, where a loader began anew"),
            "rows": Detail("texts", "a digest of each row, where several processes train"),
        },
    ),
    "takes part": Kind(
        "A network that no optimizer holds, and that the loop names, was called; its name.",
        {
            "grad": Detail("flag", "whether gradients were enabled", needed=True),
            "training": Detail("flag", "whether it was in training mode", needed=True),
            "modal": Detail("texts", "what in it does otherwise in the other mode", needed=True),
            "frozen": Detail("flag", "whether none of its parameters requires a gradient"),
            "alike": Detail("flag", "whether its shapes are those of a network that is trained"),
            "elsewhere": Detail("flag", "whether an optimizer that is not watched holds it"),
            "through": Detail("flag", "whether what it was given has a graph: it is gone through"),
        },
    ),
    "dropout": Kind(
        "A dropout is on inside a network in eval mode; the function's name, or the layer's class.",
        {
            "where": Detail("text", "the line that calls it", needed=True),
            "inside": Detail("text", "the class of the module around it", needed=True),
            "layer": Detail("flag", "whether it is a layer that eval() has not reached"),
        },
    ),
    "same rows": Kind(
        "A new iterator over a loader fetches the rows that the one before it did; no name.",
        {
            "size": Detail("count?", "how many rows it fetches", needed=True),
            "left": Detail("count", "how many rows the loader has after these", needed=True),
            "untold": Detail("flag", "whether its sampler shuffles by the epoch that it is told"),
        },
    ),
    "backward": Kind(
        "A backward began; no name.",
        {
            "mean": Detail("flag", "whether the loss comes straight from a criterion's mean"),
            "twice": Detail("text?", 'such as "softmax", taken before a criterion that takes it'),
            "before": Detail("text?", 'what that one is: "softmax", "sigmoid", or "another"'),
            "classes": Detail("count?", "over how many classes it ran, if the loss is its mean"),
            "across": Detail("shape?", "of a likelihood over the batch: see the kind of that name"),
            "spread": Detail("shape?", "of a difference or product in it that was broadcast"),
            "part": Detail("shape?", "of that one's side with a graph"),
            "cut": Detail("flag", "whether nothing hangs below the loss"),
            "nodes": Detail("counts?", "of a kept graph: nodes, the oldest's number, the newest's"),
            "inputs": Detail("flag", "whether it was called with inputs=..."),
            "nonfinite": Detail("count?", "how many entries of the loss are NaN or infinite"),
            "steep": Detail("texts", "operations near the loss whose slope can be infinite"),
            "ignored": Detail("text?", "the label that the criterion leaves out"),
            "reaches": Detail("counts", "the forwards that it was the first to go back through"),
            "strangers": Detail("count", "parameters that it reaches and no watched network has"),
        },
    ),
    "grad asked": Kind("Gradients are asked for and handed out, not gathered; no name."),
    "step": Kind(
        "An optimizer has stepped; its name, or its class.",
        {
            "held": Detail("texts", "the watched parameters that it holds", needed=True),
            "idle": Detail("count", "others like those of the network, without a gradient"),
            "unregistered": Detail("texts", "parameters with a gradient, in no module's register"),
            "class": Detail("text", "its class"),
            "optimizer": Detail("text?", "with idle ones: how it was built, if it is torch's"),
            "eps": Detail("text?", "its eps, where that is 0 in the type of what it holds"),
        },
    ),
    "unheld": Kind(
        "Nobody holds parameters that the loss before a step has reached; the optimizer's name.",
        {
            "parameters": Detail("texts", "their names, or who makes them", needed=True),
            "number": Detail("count", "how many they are", needed=True),
            "why": Detail("text", "what speaks for a mistake, in a word", needed=True),
            "optimizer": Detail("text?", "how the optimizer was built, if it is torch's"),
        },
    ),
    "clear": Kind("A zero_grad; the network's or optimizer's name."),
    "clip": Kind(
        "Gradients are clipped; the function's name.",
        {
            "given": Detail("texts", "the watched parameters it was given, where that is known"),
            "limit": Detail("text?", "what it clips to, where that is a number"),
            "meter": Detail("flag", "whether its limit is so large that it only measures"),
        },
    ),
    "scale": Kind("A GradScaler scales a loss."),
    "unscale": Kind("A GradScaler divides gradients; the optimizer's name."),
    "scaler step": Kind("A GradScaler steps an optimizer; its name."),
    "schedule": Kind(
        "A scheduler steps; the optimizer's name.",
        {
            "scheduler": Detail("text", "the scheduler's class", needed=True),
            "first": Detail("flag", "whether it is the first time", needed=True),
            "stepped": Detail("flag", "whether the optimizer has stepped before", needed=True),
            "span": Detail("count?", "after how many calls a cosine is at its lowest"),
        },
    ),
    "shapes": Kind(
        "A loss between tensors of different shapes; the function's name.",
        {
            "input": Detail("shape", "the one's shape", needed=True),
            "target": Detail("shape", "the other's", needed=True),
            "mean": Detail("flag", "whether their mean is the loss"),
            "same": Detail("flag", "whether all targets are the same"),
            "kept": Detail("flag", "whether a value for every pair may be meant"),
            "unsure": Detail("flag", "whether only the backward tells if that is so"),
            "text": Detail("text", "the difference or product, as it is written"),
            "first": Detail("flag", "whether the target stands first in it"),
            "argument": Detail("text", "the target, where something is called with it"),
            "line": Detail("count", "the line that calls; 0 where that is a library's"),
        },
    ),
    "fed": Kind(
        "A criterion is called with what it does not take; the function's name.",
        {
            "by": Detail("text", 'such as "softmax", "probabilities", "targets"', needed=True),
            "dim": Detail("count", "the dimension of the classes"),
            "range": Detail("text", "from where to where it goes"),
            "plain": Detail("flag", "whether it is a mean without weights"),
            "line": Detail("count", "the line that calls; 0 where that is a library's"),
        },
    ),
    "across": Kind(
        "A criterion is called with a softmax over another dimension; the function's name.",
        {
            "dim": Detail("count", "over which it ran", needed=True),
            "classes": Detail("count?", "over which the criterion looks", needed=True),
            "shape": Detail("shape", "of what the criterion is given", needed=True),
            "of": Detail("text", '"input" or "target" for probabilities; "" for logarithms'),
            "line": Detail("count", "the line that calls; 0 where that is a library's"),
        },
    ),
    "non-leaf": Kind(
        "A `.grad` is read that is never kept; the variable's name.",
        {"made_by": Detail("text", "autograd's name for what made it", needed=True)},
    ),
    "constant term": Kind(
        "A term of a sum of losses has no graph; the sum's variable.",
        {
            "term": Detail("text", "the term, as it is written", needed=True),
            "amount": Detail("text", 'the number of its tensor; "" if not known', needed=True),
        },
    ),
    "cut between": Kind(
        "A layer is called with what has no graph; the layer that was called before it.",
        {"into": Detail("text", "the layer that is called", needed=True)},
    ),
    "all zero": Kind(
        "A layer is called with nothing but zeros; the layer that was called before it.",
        {
            "into": Detail("text", "the layer that is called", needed=True),
            "entries": Detail("count", "how many zeros", needed=True),
        },
    ),
    "not finite": Kind(
        "A line reads a tensor with NaN or infinity in it, the first time; the variable's name.",
        {
            "nonfinite": Detail("count?", "how many of its entries are", needed=True),
            "shape": Detail("shape", "its shape", needed=True),
        },
    ),
    "graph kept": Kind(
        "A variable holds a growing graph; its name.",
        {
            "length": Detail("count", "how many terms or tensors it has by now", needed=True),
            "oldest": Detail("count", "the number of the oldest node in it"),
            "newest": Detail("count", "that of the newest"),
            "within": Detail("text", 'the container\'s class, or "object"; "" for a sum'),
            "tensors": Detail("texts", "what the statement keeps: tensors that have a graph"),
            "by_layer": Detail("flag", "whether a layer or its hook put it there, not the line"),
        },
    ),
    "no effect": Kind(
        "A statement did nothing; the variable's or the context's name.",
        {
            "how": Detail("text", '"dropped" or "unentered"', needed=True),
            "method": Detail("text", "the method's name, or the context's", needed=True),
            "owner": Detail("text", "the variable's class"),
            "same": Detail("flag", "whether the result that nobody took was the tensor itself"),
        },
    ),
    "into itself": Kind(
        "A tensor was written into itself; the variable's name.",
        {"other": Detail("text", "the other variable that holds it", needed=True)},
    ),
    "loads itself": Kind(
        "A load_state_dict was given the network's own tensors; its name, or its class.",
        {"copies": Detail("count", "how many tensors")},
    ),
    "misnamed": Kind(
        "An attribute was set that torch does not read; whose it is.",
        {
            "key": Detail("text", "the attribute", needed=True),
            "value": Detail("flag", "what it was set to", needed=True),
            "on_module": Detail("flag", "whether it is a module's, not a parameter's"),
            "several": Detail("count", "how many parameters or modules have it so"),
            "file": Detail("text", "the file of the line that set it", needed=True),
            "line": Detail("count", "its number there", needed=True),
            "source": Detail("text", "its text"),
        },
    ),
    "not called": Kind(
        "A method is only named, without parentheses; as it is written.",
        {
            "method": Detail("text", 'such as "backward"', needed=True),
            "of": Detail("text", "the class of the object that has it", needed=True),
        },
    ),
    "used up": Kind(
        "A loop goes through what gives each item once, and another loop comes back to it; the "
        "variable.",
        {
            "kind": Detail("text", 'the class of what it goes through, such as "zip"', needed=True),
            "outer": Detail("count", "the line of the loop that comes back", needed=True),
            "times": Detail("count", "how often that comes round", needed=True),
        },
    ),
    "no batch": Kind(
        'A loop over a DataLoader had no pass in the whole script; the loader\'s name, or "".',
        {
            "times": Detail("count", "how often it began", needed=True),
            "size": Detail("count?", "how many examples a batch was to have"),
            "drop": Detail("flag", "whether a smaller batch at the end is left out"),
        },
    ),
    "end": Kind(
        "A script is over, of which this is the last watched line; an optimizer's name.",
        {
            "held": Detail("texts", "the watched parameters that it holds", needed=True),
            "steps": Detail("count", "its steps in the whole script", needed=True),
            "without": Detail("count", "how many of the first ones found no gradient", needed=True),
            "still": Detail("count", "of these the ones at a learning rate of 0", needed=True),
            "head": Detail("count", "how many of the first ones in a row were so", needed=True),
            "tail": Detail("count", "how many of the last ones in a row were so", needed=True),
            "zero": Detail("flag", "whether the learning rate is 0 in the end", needed=True),
            "others": Detail("count", "steps of optimizers that were not watched", needed=True),
            "written": Detail("flag", "whether it was written to, or has hooks", needed=True),
        },
    ),
}
