"""A broken loop for each rule, and what repairs it."""

from __future__ import annotations

from companion.command.explaining.examples import gradients, graphs, losses, order, parameters

EXAMPLES = {
    **gradients.EXAMPLES,
    **graphs.EXAMPLES,
    **losses.EXAMPLES,
    **order.EXAMPLES,
    **parameters.EXAMPLES,
}
