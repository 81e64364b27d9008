"""The fewest parts of a script that still make a difference: what to look at first."""

from __future__ import annotations

from collections.abc import Iterator

from tests.package.isolation.fuzzing.loops import LOOPS
from tests.package.isolation.fuzzing.networks import NETWORKS
from tests.package.isolation.fuzzing.optimizers import OPTIMIZERS
from tests.package.isolation.fuzzing.running import Runner
from tests.package.isolation.fuzzing.script import Recipe, write


def smallest(recipe: Recipe, runs: Runner) -> str:
    """Put simpler parts in place as long as watching makes a difference; what is left, in words."""
    if any(one.timed for _, one in recipe.ingredients):
        return "an exception of a timer"
    for simpler in _simpler(recipe):
        if runs.differences(write(simpler)):
            return smallest(simpler, runs)
    modes = ", ".join(runs.differences(write(recipe)))
    parts = (
        *(one.name for _, one in recipe.ingredients),
        *("network: " + recipe.network.name for _ in [0] if recipe.network != NETWORKS[0]),
        *("optimizer: " + recipe.optimizer.name for _ in [0] if recipe.optimizer != OPTIMIZERS[0]),
        *("loop: " + recipe.loop.name for _ in [0] if recipe.loop != LOOPS[0]),
    )
    return f"{' + '.join(parts) or 'the simplest script'} ({modes})"


def _simpler(recipe: Recipe) -> Iterator[Recipe]:
    """Recipes with one part less, or a simpler one."""
    ingredients = recipe.ingredients
    for i in range(len(ingredients)):
        yield recipe._replace(ingredients=ingredients[:i] + ingredients[i + 1 :])
    if recipe.network != NETWORKS[0]:
        yield recipe._replace(network=NETWORKS[0])
    if recipe.optimizer != OPTIMIZERS[0]:
        yield recipe._replace(optimizer=OPTIMIZERS[0])
    if recipe.loop != LOOPS[0]:
        yield recipe._replace(loop=LOOPS[0])
