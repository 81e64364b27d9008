"""From a seed to a script: a network, an optimizer, a loop, and one to three ingredients."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

from tests.package.isolation.fuzzing.ingredients import KINDS
from tests.package.isolation.fuzzing.loops import LOOPS
from tests.package.isolation.fuzzing.networks import NETWORKS
from tests.package.isolation.fuzzing.optimizers import OPTIMIZERS
from tests.package.isolation.fuzzing.parts import (
    BACKWARD,
    CLEARED,
    END,
    LOSS,
    START,
    Ingredient,
    Loop,
    Network,
    Optimizer,
    fill,
    stack,
)

T = TypeVar("T")
HEAD = """\
import asyncio, contextlib, contextvars, copy, dataclasses, gc, hashlib, io, os, random, signal
import sys, threading, time, traceback, types, warnings, weakref
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint
F = nn.functional
if os.environ.get("WATCHED"):
    from companion import trace as watched
else:
    class watched:
        def __init__(self, *things, **options):
            pass
        def __enter__(self):
            pass
        def __exit__(self, kind, error, traceback):
            pass
        def __call__(self, function):
            return function
counts = {}
def count(name):
    counts[name] = counts.get(name, 0) + 1
class Holder:
    pass
holder = Holder()
def digest(*tensors):
    whole = hashlib.sha256()
    for tensor in tensors:
        tensor = getattr(tensor, "wrapped_one", tensor)
        if tensor is None or tensor.is_meta:
            whole.update(repr(tensor).encode())
            continue
        tensor = tensor.detach().as_subclass(torch.Tensor)
        whole.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
        if tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size():
            whole.update(tensor.resolve_neg().contiguous().numpy().tobytes())
    return whole.hexdigest()[:16]
"""
EPILOGUE = """
def epilogue():
    for name in sorted(counts):
        print("count", name, counts[name])
    <after>
    parameters = list(net.parameters())
    print("parameters", digest(*parameters), [p._version for p in parameters])
    print("gradients", digest(*[p.grad for p in parameters]))
    print("buffers", digest(*net.buffers()))
    states = [] if optimizer is None else [*optimizer.state.values()]
    print("states", digest(*[v for s in states for v in s.values() if isinstance(v, torch.Tensor)]))
    print("random", digest(torch.get_rng_state()), random.random())
    print("modes", torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), net.training)
"""
TIMED = """
def endless():
    end = time.monotonic() + 3
    step = 0
    while time.monotonic() < end:
        yield step
        step += 1
def ended(error):
    # Before its first instruction no function can catch anything, not even what has come earlier.
    walk = traceback.walk_tb(error.__traceback__)
    frames = [frame for frame, line in walk if line != frame.f_code.co_firstlineno]
    ours = [f for f in frames if f.f_globals.get("__name__", "").startswith("companion")]
    print("ended by", type(error).__name__, "in frames of companion:", bool(ours))
def epilogue():
    <after>
    print("done")
"""


class Recipe(NamedTuple):
    """What a script is made of; each ingredient with its place in the step."""

    seed: int
    network: Network
    optimizer: Optimizer
    loop: Loop
    ingredients: tuple[tuple[int, Ingredient], ...]

    @property
    def title(self) -> str:
        """The names of all parts, in a line."""
        names = ", ".join(f"{one.name} @{place}" for place, one in self.ingredients)
        return f"{self.network.name} / {self.optimizer.name} / {self.loop.name} / {names}"


def recipe(seed: int) -> Recipe:
    """Choose the parts."""
    chance = random.Random(seed)
    network, optimizer = _choose(chance, NETWORKS), _choose(chance, OPTIMIZERS)
    loop = chance.choice(LOOPS)
    kinds = chance.sample(list(KINDS), k=chance.choice((1, 2, 2, 3)))
    chosen: list[tuple[int, Ingredient]] = []
    for kind in kinds:
        one = chance.choice(KINDS[kind])
        if one.slow and chance.random() < 0.8:
            one = chance.choice(KINDS[kind])
        if one.timed:
            chosen = [(0, one)]
            endless = [one for one in LOOPS if one.endless and "asyncio" not in one.start]
            loop = chance.choice(endless)
            optimizer = OPTIMIZERS[0]
            break
        if _fits(one, loop, [other for _, other in chosen]):
            chosen.append((chance.choice(one.at), one))
    return Recipe(seed, network, optimizer, loop, tuple(chosen))


def _choose(chance: random.Random, parts: Sequence[T]) -> T:
    """Half of the time the simplest, so that ingredients stand in scripts that work."""
    return parts[0] if chance.random() < 0.4 else chance.choice(parts)


def _fits(one: Ingredient, loop: Loop, others: list[Ingredient]) -> bool:
    """Whether an ingredient can stand beside others."""
    if one.before and not loop.scoped:
        return False
    if "raise_signal" in one.body and "threading" in loop.start:
        return False  # the handler runs in the main thread, at no fixed line
    texts = [part.body + part.setup for part in (one, *others)]
    if all(any(word in text for text in texts) for word in ("vector_to_parameters", "resize_")):
        return False  # parameters share a storage then: what is cut off is the others'
    taken = [other for other in others if other.forward or other.backward]
    return not (taken and (one.forward or one.backward))


def write(recipe: Recipe) -> str:
    """The script's text."""
    parts, optimizer, loop = [i for _, i in recipe.ingredients], recipe.optimizer, recipe.loop
    timed = any(one.timed for one in parts)

    def at(place: int) -> str:
        return stack(*(one.body for where, one in recipe.ingredients if where == place))

    forward = "outputs = net(x)\nloss = criterion(outputs, y)"
    backward = "loss.backward()"
    for one in parts:
        forward, backward = one.forward or forward, one.backward or backward
    step = stack(
        at(START), optimizer.clear, at(CLEARED), forward, at(LOSS), backward, at(BACKWARD),
        optimizer.step, at(END),
    )  # fmt: skip
    lines = loop.loop
    for one in parts:
        step = fill(one.inside, dots=step) if one.inside else step
    lines = fill(lines, step=step)
    for one in parts:
        lines = fill(one.around, dots=lines) if one.around else lines
    before = stack(optimizer.before, *(one.before for one in parts))
    define, start = (
        fill(text, before=before, loop=lines)
        .replace("<things>", optimizer.things)
        .replace("<every>", ", every=2" if "optimizer" in optimizer.things else "")
        for text in (loop.define, loop.start)
    )
    epilogue = fill(TIMED if timed else EPILOGUE, after=stack(*(one.after for one in parts)))
    text = stack(
        f"# seed {recipe.seed}: {recipe.title}",
        HEAD,
        f"torch.manual_seed({recipe.seed})\nrandom.seed({recipe.seed})",
        *(one.setup for one in parts),
        recipe.network.text,
        optimizer.build,
        *(one.ready for one in parts),
        epilogue,
        define,
        fill("try:\n    <start>\nfinally:\n    epilogue()", start=start),
    )
    return (text.replace("range(5)", "endless()") if timed else text) + "\n"
