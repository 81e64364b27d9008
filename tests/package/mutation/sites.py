"""Where a script's tree can be changed: its statements, found by what they call."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

Body = list[ast.stmt]
Test = Callable[[ast.stmt], bool]


def bodies(tree: ast.AST) -> Iterator[Body]:
    """Every list of statements, the outermost first."""
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            found = getattr(node, name, None)
            if isinstance(found, list) and found and isinstance(found[0], ast.stmt):
                yield found


def statements(tree: ast.AST, test: Test) -> list[tuple[Body, int]]:
    """Where the statements stand of which this holds."""
    return [(body, i) for body in bodies(tree) for i, one in enumerate(body) if test(one)]


def called(stmt: ast.stmt) -> ast.Call | None:
    """The call that a statement is, or whose result it binds."""
    if isinstance(stmt, ast.Expr | ast.Assign) and isinstance(stmt.value, ast.Call):
        return stmt.value
    return None


def calls(*names: str, of: str = "") -> Test:
    """Whether a statement is a call of a method or function of this name, `of` such an object."""

    def test(stmt: ast.stmt) -> bool:
        call = called(stmt)
        if call is None:
            return False
        function = call.func
        if isinstance(function, ast.Attribute):
            return function.attr in names and of in ast.unparse(function.value).lower()
        return isinstance(function, ast.Name) and function.id in names and not of

    return test


def is_scheduler(stmt: ast.stmt) -> bool:
    """Whether it steps a scheduler."""
    call = called(stmt)
    if call is None or not isinstance(call.func, ast.Attribute) or call.func.attr != "step":
        return False
    return "sched" in ast.unparse(call.func.value).lower()


def is_step(stmt: ast.stmt) -> bool:
    """Whether it steps an optimizer, by itself or by a scaler."""
    return calls("step")(stmt) and not is_scheduler(stmt)


def is_backward(stmt: ast.stmt) -> bool:
    """Whether it calls a backward."""
    return calls("backward")(stmt)


def is_clear(stmt: ast.stmt) -> bool:
    """Whether it clears gradients."""
    return calls("zero_grad")(stmt)


def is_clip(stmt: ast.stmt) -> bool:
    """Whether it clips gradients."""
    return calls("clip_grad_norm_", "clip_grad_value_")(stmt)


def remove(tree: ast.AST, test: Test) -> bool:
    """Take these statements out; whether there were any."""
    found = statements(tree, test)
    for body, i in reversed(found):
        del body[i]
        if not body:
            body.append(ast.Pass())
    return bool(found)


def parse(text: str) -> Body:
    """Statements, as they are written."""
    return ast.parse(text).body


def insert(tree: ast.AST, test: Test, make: Callable[[ast.stmt], str], *, after: bool) -> bool:
    """Put statements before or after those of which the test holds; whether there were any."""
    found = statements(tree, test)
    for body, i in reversed(found):
        at = i + 1 if after else i
        body[at:at] = parse(make(body[i]))
    return bool(found)


def optimizers(tree: ast.AST) -> list[tuple[Body, int, str]]:
    """Where an optimizer is made from `X.parameters()`, and X."""
    found = []
    for body, i in statements(tree, lambda stmt: called(stmt) is not None):
        call = called(body[i])
        assert call is not None
        first = ast.unparse(call.args[0]) if call.args else ""
        made = isinstance(body[i], ast.Assign) and "opti" in ast.unparse(call.func).lower()
        if made and first.endswith(".parameters()"):
            found.append((body, i, first.removesuffix(".parameters()")))
    return found
