"""A broken loop for each rule, and what repairs it."""

from __future__ import annotations

from companion.command.explaining.examples import (
    gradients,
    graphs,
    holders,
    idle,
    losses,
    modes,
    never,
    order,
    parameters,
    ranks,
)

TOGETHER = "Several processes of one training"
FAMILIES = {
    "Nothing was trained": never.EXAMPLES,
    "Gradients that pile up, or are lost": gradients.EXAMPLES,
    "Graphs that are cut, used twice, or live too long": graphs.EXAMPLES,
    "Who holds what": holders.EXAMPLES,
    "Steps that move nothing, or the wrong thing": parameters.EXAMPLES,
    "Lines that do nothing": idle.EXAMPLES,
    "The order of the lines": order.EXAMPLES,
    "What goes into the loss": losses.EXAMPLES,
    "Modes, and networks beside the one that learns": modes.EXAMPLES,
    TOGETHER: ranks.EXAMPLES,
}
"""The examples by what they are about."""

EXAMPLES = {name: one for family in FAMILIES.values() for name, one in family.items()}
