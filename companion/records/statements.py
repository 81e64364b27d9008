"""The reader's own words in a statement: what a method is called on, where a backward begins."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache

from companion.records.keeping import with_detached
from companion.records.parse import dotted, nodes_of, tree_of, unparsed
from companion.records.syntax import read_grads

LONGEST = 120  # characters of an expression that is handed back


def _text(node: ast.AST) -> str | None:
    text = unparsed(node)
    return text if text is not None and len(text) <= LONGEST and "\n" not in text else None


def _calls(
    text: str, method: str, nodes: Iterable[ast.AST] | None = None
) -> Iterator[tuple[ast.Call, ast.expr]]:
    """Calls of that method, each with what it is called on."""
    for node in nodes_of(text) if nodes is None else nodes:
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Attribute) and called.attr == method:
            assert isinstance(node, ast.Call)
            yield node, called.value


@lru_cache(maxsize=4096)
def owner(text: str, method: str) -> str | None:
    """What a method is called on, by its dotted name; None where that is not one thing.

    Example:
        >>> owner("self.optimizer.step()", "step"), owner("a.step(); b.step()", "step")
        ('self.optimizer', None)
    """
    names = {dotted(value) for _, value in _calls(text, method)}
    name = names.pop() if len(names) == 1 else None
    inner = (one.target for one in nodes_of(text) if isinstance(one, ast.comprehension))
    return None if any(dotted(one) == name for one in inner) else name


@lru_cache(maxsize=4096)
def argument(text: str, method: str) -> str | None:
    """The first argument of a method's call, if it is a dotted name.

    Example:
        >>> argument("scaler.step(opt)", "step"), argument("opt.step()", "step")
        ('opt', None)
    """
    names = {dotted(call.args[0]) if call.args else None for call, _ in _calls(text, method)}
    return names.pop() if len(names) == 1 else None


@lru_cache(maxsize=4096)
def called_as(text: str, name: str) -> str | None:
    """How a statement writes what it calls by that name, or by an attribute of that name.

    Example:
        >>> called_as("loss = criterion(self.model(x), y)", "model")
        'self.model'
    """
    found = [dotted(node.func) for node in nodes_of(text) if isinstance(node, ast.Call)]
    return next((one for one in found if one and one.rpartition(".")[2] == name), None)


@lru_cache(maxsize=4096)
def root(text: str) -> str | None:
    """Where a plain `x.backward()` begins, with or without `retain_graph`; None for all others.

    Example:
        >>> root("(0.5 * loss).backward()"), root("loss.backward(gradient)")
        ('0.5 * loss', None)
    """
    found = _root(text)
    return None if found is None else _text(found)


def _root(text: str) -> ast.expr | None:
    nodes = [*nodes_of(text)]
    calls = [*_calls(text, "backward", nodes)]
    if len(calls) != 1:
        return None
    call, value = calls[0]
    alone = [node for node in nodes if isinstance(node, ast.stmt)]
    plain = not call.args and all(key.arg == "retain_graph" for key in call.keywords)
    is_it = len(alone) == 1 and isinstance(alone[0], ast.Expr) and alone[0].value is call
    return value if plain and is_it else None


@lru_cache(maxsize=4096)
def divided(text: str, number: int) -> str | None:
    """The same backward, from its loss divided.

    Example:
        >>> divided("loss.backward()", 4), divided("scaler.scale(loss).backward()", 2)
        ('(loss / 4).backward()', 'scaler.scale(loss / 2).backward()')
    """
    value = _root(text)
    if value is None:
        return None
    whole = "({} / " + f"{number}).backward()"
    if (
        isinstance(value, ast.Call)
        and isinstance(value.func, ast.Attribute)
        and value.func.attr == "scale"
        and len(value.args) == 1
    ):
        scaled = _text(value.func)
        if scaled is None:
            return None
        whole = f"{scaled}" + "({} / " + f"{number}).backward()"
        value = value.args[0]
    inside = _text(value)
    if inside is None:
        return None
    return whole.format(f"({inside})" if _binds_less(value) else inside)


def _binds_less(value: ast.expr) -> bool:
    """Whether it needs brackets to be divided or added to."""
    return not isinstance(value, (ast.Name, ast.Attribute, ast.Call, ast.Subscript))


@lru_cache(maxsize=4096)
def as_term(text: str) -> str | None:
    """Where a backward begins, as a term of a sum.

    Example:
        >>> as_term("(0.5 * loss).backward()"), as_term("(a if b else c).backward()")
        ('0.5 * loss', '(a if b else c)')
    """
    value, inside = _root(text), root(text)
    if value is None or inside is None:
        return None
    sums = isinstance(value, ast.BinOp) and isinstance(
        value.op, (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.MatMult)
    )
    return inside if sums or not _binds_less(value) else f"({inside})"


@lru_cache(maxsize=4096)
def looped(text: str) -> tuple[str, str] | None:
    """Variable and sequence of a `for` over a thing with a name.

    Example:
        >>> looped("for loss in losses:"), looped("for i, x in enumerate(xs):")
        (('loss', 'losses'), None)
    """
    for node in nodes_of(text):
        if isinstance(node, ast.For):
            names = dotted(node.target), dotted(node.iter)
            return (names[0], names[1]) if names[0] and names[1] else None
    return None


@lru_cache(maxsize=4096)
def added(text: str) -> str | None:
    """The one variable that a `total += x` or `total = total + x` adds.

    Example:
        >>> added("total += loss"), added("total = total + loss"), added("total += a * b")
        ('loss', 'loss', None)
    """
    for node in nodes_of(text):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            return dotted(node.value)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            sides = node.value.left, node.value.right
            targets = {dotted(target) for target in node.targets}
            others = [dotted(side) for side in sides if dotted(side) not in targets]
            return others[0] if len(others) == 1 and isinstance(node.value.op, ast.Add) else None
    return None


@lru_cache(maxsize=4096)
def detaching(text: str, name: str) -> str | None:
    """The same statement, which reads a variable detached.

    Example:
        >>> detaching("score = netD(fake)", "fake")
        'score = netD(fake.detach())'
    """
    nodes = [*nodes_of(text)]
    reads = sum(dotted(node) == name and _is_read(node) for node in nodes)
    if reads != 1 or any(isinstance(one, _HEADERS) for one in nodes):
        return None
    return with_detached(text, (name,))


_HEADERS = (ast.For, ast.While, ast.If, ast.With, ast.FunctionDef, ast.Lambda)


def _is_read(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


@lru_cache(maxsize=4096)
def subtracting(text: str) -> str | None:
    """`w -= x` for a statement `new = w - x`, in which x has the gradient of w.

    Example:
        >>> subtracting("w = w - lr * w.grad"), subtracting("new[name] = old - p.grad")
        ('w -= lr * w.grad', 'p -= p.grad')
    """
    for node in nodes_of(text):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            right = _text(node.value.right) if isinstance(node.value.op, ast.Sub) else None
            names = () if right is None else read_grads(right)
            if len(names) == 1:
                return f"{names[0]} -= {right}"
    return None


@lru_cache(maxsize=4096)
def is_divided(text: str) -> bool:
    """Whether a statement binds what one value divided gives, or goes back from it.

    Example:
        >>> [is_divided(line) for line in ("loss = f(x) / 4", "loss /= 4", "(loss / 4).backward()")]
        [True, True, True]
        >>> is_divided("loss = f(x / 255)"), is_divided("loss = (one + other) / 2")
        (False, False)
    """
    body = getattr(tree_of(text), "body", [])
    one = body[0] if len(body) == 1 else None
    if isinstance(one, ast.AugAssign):
        return isinstance(one.op, ast.Div)
    value = one.value if isinstance(one, (ast.Assign, ast.AnnAssign)) else _root(text)
    if isinstance(value, ast.Call) and (dotted(value.func) or "").endswith(".scale"):
        value = next(iter(value.args), None)  # what a GradScaler was given
    return (
        isinstance(value, ast.BinOp)
        and isinstance(value.op, ast.Div)
        and isinstance(value.left, (ast.Call, ast.Name))
    )


@lru_cache(maxsize=4096)
def moved(text: str) -> str | None:
    """The one variable that a statement writes into, in place.

    Example:
        >>> moved("p.data.mul_(0.99)"), moved("w -= lr * w.grad"), moved("w = w * 2")
        ('p', 'w', None)
    """
    statements = getattr(tree_of(text), "body", [])
    node = statements[0] if len(statements) == 1 else None
    target: ast.expr | None = node.target if isinstance(node, ast.AugAssign) else None
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        if isinstance(called, ast.Attribute) and called.attr.endswith("_"):
            target = called.value
    name = None if target is None else dotted(target)
    return None if name is None else name.removesuffix(".data").removesuffix(".grad")


@lru_cache(maxsize=4096)
def uncommented(text: str) -> str:
    """A statement of one line without the comment behind it.

    Example:
        >>> uncommented("opt.step()  # now"), uncommented("print('#')")
        ('opt.step()', "print('#')")
    """
    nodes = [node for node in nodes_of(text) if isinstance(node, ast.stmt)]
    if "#" not in text or "\n" in text or len(nodes) != 1 or isinstance(nodes[0], _HEADERS):
        return text
    end = nodes[0].end_col_offset
    return text.encode()[:end].decode()


@lru_cache(maxsize=4096)
def is_handed(text: str, name: str) -> bool:
    """Whether a statement hands on a function of that name, and does not call it.

    Example:
        >>> is_handed("opt.step(closure)", "closure"), is_handed("self.step(x)", "step")
        (True, False)
    """
    nodes = [*nodes_of(text)]
    called = {id(node.func) for node in nodes if isinstance(node, ast.Call)}
    return any(
        id(node) not in called and (dotted(node) or "").rpartition(".")[2] == name
        for node in nodes
        if isinstance(node, (ast.Name, ast.Attribute))
    )
