"""What people do in a loop, by kind. One more ingredient: one more entry in one of these lists."""

from __future__ import annotations

from tests.package.isolation.fuzzing.ingredients.failures import FAILURES
from tests.package.isolation.fuzzing.ingredients.graphs import GRAPHS
from tests.package.isolation.fuzzing.ingredients.hostile import HOSTILE
from tests.package.isolation.fuzzing.ingredients.iterables import ITERABLES
from tests.package.isolation.fuzzing.ingredients.lifetimes import LIFETIMES
from tests.package.isolation.fuzzing.ingredients.modes import MODES
from tests.package.isolation.fuzzing.ingredients.signals import SIGNALS
from tests.package.isolation.fuzzing.ingredients.storages import STORAGES
from tests.package.isolation.fuzzing.ingredients.tasks import TASKS
from tests.package.isolation.fuzzing.ingredients.transforms import TRANSFORMS
from tests.package.isolation.fuzzing.ingredients.values import VALUES
from tests.package.isolation.fuzzing.ingredients.variables import VARIABLES
from tests.package.isolation.fuzzing.ingredients.writes import WRITES
from tests.package.isolation.fuzzing.parts import Ingredient

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
    "values": VALUES,
    "variables": VARIABLES,
    "writes": WRITES,
}
