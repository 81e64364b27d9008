"""Statements that do nothing, as far as their text tells: a result that nobody takes, a context
that is never entered."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal, NamedTuple

from companion.records.parse import dotted, nodes_of

How = Literal["dropped", "unentered"]

# Methods and functions that compute a new tensor and change none.
PURE = frozenset(
    {
        "detach", "to", "float", "half", "double", "bfloat16", "long", "int", "bool", "cuda",
        "clone", "view", "reshape", "squeeze", "unsqueeze", "permute", "transpose", "flatten",
        "contiguous", "add", "sub", "mul", "div", "clamp", "clip", "relu", "sigmoid", "tanh",
        "softmax", "log_softmax", "log", "exp", "sqrt", "abs", "masked_fill", "type_as",
        "expand", "repeat", "dropout", "normalize", "lerp", "cpu", "nan_to_num",
    }
)  # fmt: skip
_CASTS = {"to", "float", "half", "double", "bfloat16", "long", "int", "bool", "cuda", "cpu"}
_FUNCTIONS = ("torch.", "F.", "nn.functional.", "torch.nn.functional.")
_CONTEXTS = {
    "no_grad": "torch.no_grad()", "enable_grad": "torch.enable_grad()",
    "inference_mode": "torch.inference_mode()",
}  # fmt: skip


class Idle(NamedTuple):
    """A statement that does nothing.

    Attributes:
        how: "dropped", a new tensor is computed and given to nobody; "unentered", a context
            manager is made and not entered.
        owner: The variable: "x"; a context's own name.
        method: Such as "detach".
        given: What the method is given, where that can be told: "device", "torch.float32".
    """

    how: How
    owner: str
    method: str
    given: str | None = None


@lru_cache(maxsize=4096)
def idle(text: str) -> Idle | None:
    """What a statement only seems to do; None for one that may do something.

    Example:
        >>> idle("x.to(device)")
        Idle(how='dropped', owner='x', method='to', given='device')
        >>> idle("p.grad.data.clamp(-1, 1)"), idle("torch.no_grad()").how
        (Idle(how='dropped', owner='p.grad', method='clamp', given=None), 'unentered')
        >>> idle("net.eval()"), idle("x.clamp_(0)"), idle("y = x.detach()"), idle("loss.item()")
        (None, None, None, None)
    """
    body = next((node.body for node in nodes_of(text) if isinstance(node, ast.Module)), [])
    if len(body) != 1 or not isinstance(body[0], ast.Expr):
        return None
    node = body[0].value
    if not isinstance(node, ast.Call):
        return None
    whole = dotted(node.func) or ""
    before, _, name = whole.rpartition(".")
    if name in _CONTEXTS and before in ("", "torch", "torch.autograd") and not node.args:
        return Idle("unentered", whole, name)
    if name not in PURE or not before or _writes(node):
        return None
    if f"{before}." in _FUNCTIONS:
        first = dotted(node.args[0]) if node.args else None
        owner = None if name in _CASTS else first
    else:
        owner = before
    if owner is None:
        return None
    given = dotted(node.args[0]) if node.args and owner == before else None
    if node.args and isinstance(node.args[0], ast.Constant) and type(node.args[0].value) is str:
        given = repr(node.args[0].value)
    return Idle("dropped", _tensor(owner), name, given)


def _tensor(owner: str) -> str:
    """The variable whose values are reached for: of `p.data` it is `p`."""
    return ".".join(part for part in owner.split(".") if part != "data")


def _writes(call: ast.Call) -> bool:
    return any(keyword.arg in (None, "out", "inplace") for keyword in call.keywords)


@lru_cache(maxsize=4096)
def in_place(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The variable that a statement writes into in place, and the others that it reads for that.

    Example:
        >>> in_place("t.data.copy_(tau * s.data + (1 - tau) * t.data)")
        ('t', ('tau', 's'))
        >>> in_place("slow.mul_(0.9).add_(fast, alpha=0.1)")
        ('slow', ('fast',))
        >>> in_place("t.data = 0.1 * s.data + 0.9 * t.data")
        ('t', ('s',))
    """
    given: dict[str, None] = {}
    written = False
    node: ast.expr | None = None
    for one in nodes_of(text):
        if isinstance(one, ast.Expr):
            node = one.value
            break
        if isinstance(one, ast.Assign) and len(one.targets) == 1:
            target = one.targets[0]
            if isinstance(target, ast.Attribute) and target.attr == "data":
                node, written = target.value, True
                given.update(dict.fromkeys(_read(one.value)))
            break
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        written |= node.func.attr in ("copy_", "lerp_", "add_")
        for part in [*node.args, *(keyword.value for keyword in node.keywords)]:
            given.update(dict.fromkeys(_read(part)))
        node = node.func.value
    owner = None if node is None else dotted(node)
    if owner is None or not written:
        return None
    owner = _tensor(owner)
    return owner, tuple(name for name in given if name != owner)


def _read(node: ast.AST) -> Iterator[str]:
    name = dotted(node)
    if name is not None:
        yield _tensor(name)
    else:
        for part in ast.iter_child_nodes(node):
            yield from _read(part)


@lru_cache(maxsize=4096)
def loaded(text: str) -> tuple[str, str, bool] | None:
    """Of a `load_state_dict`: whose, what it is given, and whether that is a state taken there.

    Example:
        >>> loaded("target.load_state_dict(net.state_dict())")
        ('target', 'net', True)
        >>> loaded("net.load_state_dict(best['model'])")
        ('net', 'best', False)
    """
    for node in nodes_of(text):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        if node.func.attr != "load_state_dict" or not node.args:
            continue
        owner, given = dotted(node.func.value), node.args[0]
        if isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute):
            other = dotted(given.func.value)
            taken = given.func.attr == "state_dict"
            return None if owner is None or other is None else (owner, other, taken)
        while isinstance(given, ast.Subscript):
            given = given.value
        other = dotted(given)
        return None if owner is None or other is None else (owner, other, False)
    return None
