"""What goes into the loss, and which mode the network is in."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from companion.ledger import Ledger
from companion.rules.table import Sighting, of, rule, some


@rule(
    "softmax-twice",
    why="The criterion applies it itself; twice, it squeezes all outputs together and the loss "
    "cannot become small.",
    cure="loss = criterion(net(inputs), labels)  # the network's last layer gives raw scores",
    section="losses-that-are-fed-wrong",
)
def softmax_twice(ledger: Ledger) -> Iterator[Sighting]:
    """Softmax before CrossEntropyLoss, sigmoid before BCEWithLogitsLoss."""
    for record, event in ledger.of("backward"):
        what, classes = event.details.get("twice"), event.details.get("classes")
        if what == "softmax" and classes:
            # Scores between 0 and 1, the right one 1 and all others 0, are the best there can be.
            floor = math.log(1 + (classes - 1) / math.e)
            least = f"; with {classes} classes no loss can fall below {floor:.3g}"
        else:  # the best score for a label of 1 is 1, and for 0 it is 0
            least = f"; no loss can fall below {math.log1p(1 / math.e):.3g}"
        if what:
            yield Sighting(
                record,
                f"in the graph of this loss a {what} comes right before the criterion's own{least}",
            )


@rule(
    "broadcast-loss",
    why="Two shapes that differ are broadcast: every output is compared with every target.",
    cure="loss = criterion(outputs.squeeze(1), targets)",
    section="losses-that-are-fed-wrong",
)
def broadcast_loss(ledger: Ledger) -> Iterator[Sighting]:
    """A loss between (N, 1) and (N)."""
    for record, event in ledger.of("shapes"):
        a, b = event.details["input"], event.details["target"]
        try:
            pairs = math.prod(torch.broadcast_shapes(a, b))
        except RuntimeError:  # they do not fit; torch has raised
            continue
        if pairs > max(math.prod(a), math.prod(b)):
            yield Sighting(
                record,
                f"{event.name} compared {tuple(a)} with {tuple(b)}: {pairs} pairs, "
                f"not {math.prod(a)}",
            )


@rule(
    "eval-mode",
    why="Dropout is off and BatchNorm uses its running averages: another network is trained.",
    cure="net.train()  # at the start of every training epoch",
    section="train-and-eval",
)
def eval_mode(ledger: Ledger) -> Iterator[Sighting]:
    """A step while the network is in eval mode."""
    networks = {event.name for _, event in ledger.of("forward")}
    last: dict[str, tuple[str, ...]] = {}  # network → what slept in its last forward
    at_backward: dict[str, tuple[str, ...]] = {}
    awake: set[str] = set()
    for record in ledger.records:
        for event in record.events:
            if event.kind == "forward" and event.details["grad"]:
                last[event.name] = () if event.details["training"] else event.details["modal"]
            elif event.kind == "backward":
                at_backward, last = last, {}
            elif event.kind == "step":
                for name, modal in at_backward.items():
                    if not of(name, networks, record.changed_parameters):
                        continue
                    if not modal:
                        awake.add(name)
                        continue
                    earlier = "; earlier steps were in training mode" if name in awake else ""
                    yield Sighting(
                        record,
                        f"{name} was in eval mode in the forward of this step, and has "
                        f"{some(list(modal))}{earlier}",
                        settle=None
                        if name in awake
                        else "whether training without dropout, or with fixed statistics, is meant",
                    )
                at_backward = {}


@rule(
    "evaluation-in-train-mode",
    why="Dropout is random and BatchNorm learns from the validation data.",
    cure="net.eval()\nwith torch.no_grad():\n    ...\nnet.train()",
    section="train-and-eval",
)
def evaluation_in_train_mode(ledger: Ledger) -> Iterator[Sighting]:
    """A forward without gradients while the only network is in training mode."""
    names = {event.name for _, event in ledger.of("forward")}
    if len(names) != 1 or not ledger.uses:
        return
    cleared = False  # since the last step: then this forward serves the next one
    for record in ledger.records:
        for event in record.events:
            if event.kind in ("step", "clear"):
                cleared = event.kind == "clear"
            elif event.kind == "forward" and not event.details["grad"] and not cleared:
                modal = event.details["modal"] if event.details["training"] else ()
                if modal:
                    yield Sighting(
                        record,
                        f"{event.name} ran without gradients in training mode, and has "
                        f"{some(list(modal))}",
                        settle="whether the randomness (Monte Carlo dropout), or new batch "
                        "statistics, are what this forward is for",
                    )
