"""What people do in a loop, by kind. One more ingredient: one more entry in one of these lists."""

from __future__ import annotations

from tests.fuzzing.ingredients.failures import FAILURES
from tests.fuzzing.ingredients.graphs import GRAPHS
from tests.fuzzing.ingredients.hostile import HOSTILE
from tests.fuzzing.ingredients.iterables import ITERABLES
from tests.fuzzing.ingredients.lifetimes import LIFETIMES
from tests.fuzzing.ingredients.modes import MODES
from tests.fuzzing.ingredients.signals import SIGNALS
from tests.fuzzing.ingredients.storages import STORAGES
from tests.fuzzing.ingredients.tasks import TASKS
from tests.fuzzing.ingredients.transforms import TRANSFORMS
from tests.fuzzing.ingredients.variables import VARIABLES
from tests.fuzzing.ingredients.writes import WRITES
from tests.fuzzing.parts import Ingredient

KINDS: dict[str, list[Ingredient]] = {
    "iterables": ITERABLES,
    "graphs": GRAPHS,
    "storages": STORAGES,
    "transforms": TRANSFORMS,
    "hostile": HOSTILE,
    "failures": FAILURES,
    "signals": SIGNALS,
    "tasks": TASKS,
    "modes": MODES,
    "lifetimes": LIFETIMES,
    "variables": VARIABLES,
    "writes": WRITES,
}
