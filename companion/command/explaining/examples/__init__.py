"""A broken loop for each rule, and what repairs it."""

from __future__ import annotations

from companion.command.explaining.examples import gradients, graphs, losses, order, parameters

FAMILIES = {
    "Gradients that pile up, or are lost": gradients.EXAMPLES,
    "Graphs that are cut, used twice, or live too long": graphs.EXAMPLES,
    "Steps that move nothing, or the wrong thing": parameters.EXAMPLES,
    "The order of the lines": order.EXAMPLES,
    "Losses and modes": losses.EXAMPLES,
}
"""The examples by what they are about."""

EXAMPLES = {name: one for family in FAMILIES.values() for name, one in family.items()}
