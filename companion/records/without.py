"""A statement without one of the calls that stand in it."""

from __future__ import annotations

import ast
from functools import lru_cache

from companion.records.parse import dotted, tree_of, unparsed

LONGEST = 160  # characters of a statement that is handed back
_OWNERS = {"torch", "F", "functional", "nn.functional", "torch.nn.functional", "torch.special"}


@lru_cache(maxsize=4096)
def without_call(text: str, function: str) -> tuple[str, bool] | None:
    """A statement with what a function is given in place of its call, which stands there once.

    And whether that call was all that the statement binds. None where the text does not tell.

    Example:
        >>> without_call("p = F.softmax(net(x), dim=1)", "softmax")
        ('p = net(x)', True)
        >>> without_call("loss = criterion(net(x).softmax(1), y)", "softmax")
        ('loss = criterion(net(x), y)', False)
    """
    found: list[ast.Call] = []
    unknown: list[ast.Call] = []

    class Once(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.AST:
            if _is_call_of(node, function):
                given = _given(node)
                (found if given is not None else unknown).append(node)
                return self.visit(given) if given is not None else node
            return super().generic_visit(node)

    tree = tree_of(text)
    if tree is None or len(tree.body) != 1 or hasattr(tree.body[0], "body"):
        return None
    whole = _shown(getattr(tree.body[0], "value", None))
    changed = unparsed(Once().visit(tree))
    if len(found) != 1 or unknown or changed is None or len(changed) > LONGEST:
        return None
    return changed, found[0] is whole


def _shown(node: ast.AST | None) -> ast.AST | None:
    """What methods after it only show in another shape, or a part of."""
    while True:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in _SHAPES:
                return node
            node = node.func.value
        elif isinstance(node, ast.Subscript):
            node = node.value
        else:
            return node


_SHAPES = {"squeeze", "unsqueeze", "view", "reshape", "flatten", "float", "contiguous"}


def _is_call_of(node: ast.Call, function: str) -> bool:
    """Whether it is called by that name, or is a layer of it: `nn.Softmax(dim=1)(x)`."""
    called = node.func
    if isinstance(called, ast.Call):
        name = (dotted(called.func) or "").rpartition(".")[2]
        return name.lower() == function.replace("_", "")
    name = called.attr if isinstance(called, ast.Attribute) else (dotted(called) or "")
    return name == function


def _given(node: ast.Call) -> ast.expr | None:
    """What it is given: its first argument, or what the method is called on."""
    called, first = node.func, node.args[0] if node.args else None
    named = next((key.value for key in node.keywords if key.arg == "input"), None)
    if isinstance(called, ast.Attribute):
        owner = dotted(called.value)
        if owner in _OWNERS:
            return first or named
        if first is None or isinstance(first, (ast.Constant, ast.UnaryOp)):
            return called.value  # x.softmax(1)
        return first if owner == "self" and len(node.args) == 1 else None
    return first or named
