"""What a statement's text says of what it subtracts, multiplies and calls; and it, rewritten."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from companion.records.parse import dotted, nodes_of, parse, tree_of, unparsed


class Side(NamedTuple):
    """A variable, or what is taken out of it, as far as that can be read and not be run.

    Attributes:
        name: The variable.
        keys: What stands in the brackets behind it, one after the other; None for anything that
            is no constant, such as a slice.
        text: The whole of it, as Python would write it.
    """

    name: str
    keys: tuple[str | int | None, ...]
    text: str


class Operands(NamedTuple):
    """The two sides of a minus or a times sign.

    Attributes:
        text: The whole of it, as Python would write it.
        left: What stands on the left; None where that is something else.
        right: The same on the right.
        sign: "-" or "*".
        is_turned: Whether one of them ends in `.view(...)` or `.reshape(...)`.
    """

    text: str
    left: Side | None
    right: Side | None
    sign: str = "-"
    is_turned: bool = False


@lru_cache(maxsize=4096)
def operands(text: str) -> tuple[Operands, ...]:
    """What a statement subtracts and multiplies, where one side at least is a variable.

    Example:
        >>> operands("loss = ((net(x) - y) ** 2).mean()")  # doctest: +ELLIPSIS
        (Operands(text='net(x) - y', left=None, right=Side(...), sign='-', is_turned=False),)
    """
    found = []
    for node in nodes_of(text):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Sub, ast.Mult)):
            left, right = _side(node.left), _side(node.right)
            written = unparsed(node)
            if (left or right) and written is not None:
                sign = "-" if isinstance(node.op, ast.Sub) else "*"
                is_turned = _is_turned(node.left) or _is_turned(node.right)
                found.append(Operands(written, left, right, sign, is_turned))
    return tuple(found)


@lru_cache(maxsize=4096)
def arguments(text: str) -> tuple[Side, ...]:
    """The variables that a statement calls something with.

    Example:
        >>> [side.text for side in arguments("loss = criterion(net(x), y[:8].float())")]
        ['y[:8].float()', 'x']
    """
    found = [
        _side(argument)
        for node in nodes_of(text)
        if isinstance(node, ast.Call)
        for argument in node.args
    ]
    return tuple(dict.fromkeys(side for side in found if side is not None))


# Methods of a tensor that leave its shape as it is.
_SHAPELESS = {"float", "double", "half", "bfloat16", "long", "int", "bool", "to", "type", "cuda",
              "cpu", "detach", "clone", "contiguous", "type_as"}  # fmt: skip


def _is_turned(node: ast.expr) -> bool:
    called = node.func if isinstance(node, ast.Call) else None
    return isinstance(called, ast.Attribute) and called.attr in ("view", "reshape")


def _side(node: ast.expr) -> Side | None:
    keys: list[str | int | None] = []
    text = unparsed(node)
    while text is not None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr not in _SHAPELESS:
                return None
            node = node.func.value
        elif isinstance(node, ast.Subscript):
            key = node.slice
            known = isinstance(key, ast.Constant) and type(key.value) in (str, int)
            if isinstance(key, (ast.Constant, ast.Tuple)) and not known:
                return None  # a dimension more, or fewer
            keys.insert(0, key.value if known else None)  # type: ignore[attr-defined]
            node = node.value
        else:
            name = dotted(node)
            return None if name is None else Side(name, tuple(keys), text)
    return None


@lru_cache(maxsize=4096)
def binds_nothing(text: str) -> str | None:
    """What a statement is whose value no variable has: "return", "expression"; else None."""
    tree = tree_of(text)
    body = tree.body if isinstance(tree, ast.Module) else []
    if len(body) != 1:
        return None
    if isinstance(body[0], ast.Return):
        return "return"
    return "expression" if isinstance(body[0], ast.Expr) else None


def called_with(text: str, function: str, position: int, change: str) -> str | None:
    """A statement that calls a criterion, with one of the two things it compares changed.

    None where it is not plain which call that is.

    Args:
        text: The statement.
        function: The criterion, as torch calls it: that name is looked for first.
        position: 0 for what comes first, 1 for its target.
        change: Python, in which `_` stands for what is there.

    Example:
        >>> called_with("loss = criterion(net(x), y)", "mse_loss", 0, "_.squeeze(1)")
        'loss = criterion(net(x).squeeze(1), y)'
    """
    tree = tree_of(text)
    calls = list(_calls(tree)) if tree is not None else []
    named = [call for call in calls if (dotted(call.func) or "").split(".")[-1] == function]
    calls = named or [call for call in calls if not _is_torchs(call)]
    if len(calls) != 1 or tree is None:
        return None
    (call,) = calls
    key = ("input", "target")[position]
    for keyword in call.keywords:
        if keyword.arg == key:
            keyword.value = _changed(keyword.value, change)
            return _statement(tree)
    if len(call.args) <= position or any(isinstance(one, ast.Starred) for one in call.args):
        return None
    call.args[position] = _changed(call.args[position], change)
    return _statement(tree)


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    """Calls with two things to be compared."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            keys = {one.arg for one in node.keywords}
            if len(node.args) + len(keys & {"input", "target"}) == 2:
                yield node


def _is_torchs(call: ast.Call) -> bool:
    """Such as `torch.rand(8, 1)`: it compares nothing."""
    return (dotted(call.func) or "").startswith(("torch.", "F.", "nn."))


def with_side(text: str, operation: str, left: bool, change: str) -> str | None:
    """A statement with one side of what it subtracts or multiplies changed.

    None where that does not stand there exactly once.

    Example:
        >>> with_side("loss = (p - y).abs().mean()", "p - y", True, "_.squeeze(1)")
        'loss = (p.squeeze(1) - y).abs().mean()'
    """
    tree = tree_of(text)
    found = [
        node
        for node in (ast.walk(tree) if tree is not None else ())
        if isinstance(node, ast.BinOp) and unparsed(node) == operation
    ]
    if len(found) != 1 or tree is None:
        return None
    if left:
        found[0].left = _changed(found[0].left, change)
    else:
        found[0].right = _changed(found[0].right, change)
    return _statement(tree)


def with_part(text: str, part: str, change: str) -> str | None:
    """A statement with a part of it changed, which stands there exactly once.

    Example:
        >>> with_part("loss = rmse(net(x), y[:8])", "y[:8]", "_.unsqueeze(1)")
        'loss = rmse(net(x), y[:8].unsqueeze(1))'
    """
    found = []

    class Once(ast.NodeTransformer):
        def generic_visit(self, node: ast.AST) -> ast.AST:
            if isinstance(node, ast.expr) and unparsed(node) == part:
                found.append(node)
                return _changed(node, change)
            return super().generic_visit(node)

    tree = tree_of(text)
    if tree is None:
        return None
    changed = Once().visit(tree)
    return _statement(changed) if len(found) == 1 else None


def with_variable(text: str, name: str, change: str) -> str | None:
    """A statement with one of its variables changed wherever it is read.

    Example:
        >>> with_variable("loss = -(y * p + (1 - y) * q).mean()", "y", "_[:, None]")
        'loss = -(y[:, None] * p + (1 - y[:, None]) * q).mean()'
    """

    class Everywhere(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            read = node.id == name and isinstance(node.ctx, ast.Load)
            return _changed(node, change) if read else node

    tree = tree_of(text)
    return None if tree is None else _statement(Everywhere().visit(tree))


def _changed(node: ast.expr, change: str) -> ast.expr:
    class Into(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return node if name.id == "_" else name

    (statement,) = parse(change).body
    assert isinstance(statement, ast.Expr)
    changed = Into().visit(statement.value)
    assert isinstance(changed, ast.expr)
    return changed


def _statement(tree: ast.AST) -> str | None:
    """A statement that was changed, if it is one line: a header's body is not known."""
    body = tree.body if isinstance(tree, ast.Module) else []
    if len(body) != 1 or hasattr(body[0], "body"):
        return None
    written = unparsed(tree)
    return written if written is not None and len(written) <= _LONGEST else None


_LONGEST = 160  # characters of a cure
