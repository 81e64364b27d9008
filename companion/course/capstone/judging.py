"""What is wrong with a reader's SGD, in words: it is played beside `torch.optim.SGD`.

Equal means `torch.equal`, of every parameter and every momentum buffer, after every step. Where it
is not equal, the hint is the mistake that leads to the same numbers, if one is known.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from companion.course.capstone.cases import CASES, OWN, SCHEDULERS, Case
from companion.course.capstone.mistakes import HINTS, with_one
from companion.course.capstone.playing import Make, Moment, SpoiledError, Way, play

# Each case in all ways, the simple ones first, so that a hint names the least that fails.
EACH = (*CASES, *OWN)
GROUP = {"momentum": 0.8, "dampening": 0.2, "weight_decay": 0.1}
PLAYED = [
    *((case, Way()) for case in EACH),
    *((case, Way(groups={})) for case in EACH),
    *((case, Way(groups={"lr": 0.02})) for case in EACH),
    (CASES[0], Way(groups=GROUP)),
    *((case, Way(contiguous=False, checkpoint=True)) for case in EACH),
    *((case, Way(schedulers=made)) for case in CASES for made in SCHEDULERS),
]
BITS = "right but for the last bits: PyTorch multiplies and adds in one call, add(..., alpha=...)"
NO_GRAD = "autograd must not follow a step: where is torch.no_grad?"
NONE = "a gradient can be None: that parameter is left alone"
NO_BUFFER = 'where is the buffer? Keep it in self.state[p]["momentum_buffer"]'
SHARED = "alone, a parameter moves as it should; beside others, not: do they share a buffer?"


def judge(made: Make) -> str | None:
    """What is wrong with this class of optimizer; None where it equals `torch.optim.SGD`.

    Args:
        made: The class, or what makes an optimizer as it would: of parameters, or groups of them,
            and SGD's options by their names.

    Example:
        >>> from companion import SGD
        >>> judge(SGD) is None, judge(lambda params, **options: SGD(params, lr=0.1))
        (True, "in the case 'default', {}, step 1 ends elsewhere")
    """
    last_bits = None
    for number, (case, way) in enumerate(PLAYED):
        theirs = torchs(number)
        try:
            mine = play(made, case.options, way)
        except SpoiledError as what:
            return str(what)
        except Exception as error:
            return raised(error, made, case, way)
        if not alike(mine, theirs, close=True):
            return named(mine, theirs, made, case, way)
        if last_bits is None and not alike(mine, theirs):
            last_bits = f"in the case '{case.name}' {BITS}"
    return last_bits


@cache
def torchs(number: int) -> list[Moment]:
    """What PyTorch's SGD does with what is played, for all who are judged."""
    case, way = PLAYED[number]
    return play(torch.optim.SGD, case.options, way)


def alike(
    mine: list[Moment], theirs: list[Moment], *, close: bool = False, buffers: bool = True
) -> bool:
    """Whether the parameters, and the buffers that the other has, are equal, or nearly so."""
    for one, other in zip(mine, theirs, strict=True):
        pairs: list[tuple[Tensor | None, Tensor]] = [*zip(one.params, other.params, strict=True)]
        if buffers:
            kept = zip(one.buffers, other.buffers, strict=True)
            pairs += [(a, b) for a, b in kept if b is not None]
        if not all(same(a, b, close=close) for a, b in pairs):
            return False
    return True


def same(one: Tensor | None, other: Tensor, *, close: bool) -> bool:
    """Whether two tensors are equal, or nearly so."""
    if one is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    return torch.allclose(one, other, rtol=1e-5, atol=1e-5) if close else torch.equal(one, other)


def raised(error: Exception, made: Make, case: Case, way: Way) -> str:
    """The hint for an error."""
    if "leaf Variable" in str(error):
        return NO_GRAD
    if runs(made, case, way._replace(gaps=False)):
        return NONE
    if alone(made, case):
        return SHARED
    return f"it raises {type(error).__name__}: {str(error)[:60]}"


def named(mine: list[Moment], theirs: list[Moment], made: Make, case: Case, way: Way) -> str:
    """The hint for other numbers than PyTorch's."""
    keeps = any(buffer is not None for moment in mine for buffer in moment.buffers)
    if not keeps and alike(mine, theirs, close=True, buffers=False):
        return NO_BUFFER
    for mistake, hint in HINTS.items():
        wrong = play(with_one(mistake), case.options, way)
        if alike(mine, wrong, close=True, buffers=keeps):
            return hint
    if way.checkpoint:
        return "after load_state_dict it goes on otherwise: is all it keeps in self.state[p]?"
    if way.groups == {}:
        return "with two groups it goes wrong: are all of them moved, each p by its own buffer?"
    if way.groups:
        return "each group has its own options: read them from group, not from self"
    if way.schedulers:
        return 'a scheduler changes group["lr"]: read it anew at every step'
    if alone(made, case):
        return SHARED
    moments = zip(mine, theirs, strict=True)
    first = next(i for i, (m, t) in enumerate(moments, 1) if not alike([m], [t], close=True))
    return f"in the case '{case.name}', {case.options}, step {first} ends elsewhere"


def runs(made: Make, case: Case, way: Way) -> bool:
    """Whether a case is played to its end."""
    try:
        play(made, case.options, way)
    except Exception:
        return False
    return True


def alone(made: Make, case: Case) -> bool:
    """Whether a single parameter moves as PyTorch moves it, wherever its buffer is kept."""
    way = Way(alone=True)
    theirs = play(torch.optim.SGD, case.options, way)
    return runs(made, case, way) and alike(
        play(made, case.options, way), theirs, close=True, buffers=False
    )
