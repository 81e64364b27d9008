"""What a statement's text says of where its values come from: what it reads, what may be steep."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache

from companion.records.parse import dotted, nodes_of, unparsed

_OWNERS = {"torch", "F", "math", "np", "functional", "linalg", "special"}  # of functions
_STEEP = {
    "log": "log", "log2": "log", "log10": "log", "log1p": "log", "log_": "log",
    "sqrt": "sqrt", "sqrt_": "sqrt", "rsqrt": "rsqrt", "reciprocal": "/", "div": "/",
    "exp": "exp", "exp_": "exp", "pow": "**", "std": "std", "acos": "acos", "arccos": "acos",
    "asin": "asin", "arcsin": "asin", "logit": "logit", "atanh": "atanh", "std_mean": "std",
}  # fmt: skip


@lru_cache(maxsize=4096)
def reads(text: str) -> tuple[str, ...]:
    """The variables that a statement reads, with those that they are attributes of.

    Example:
        >>> reads("loss = criterion(self.net(x).mean(), y[0])")
        ('criterion', 'y', 'self.net', 'self', 'x')
    """
    found: dict[str, None] = {}
    for node in nodes_of(text):
        if isinstance(node, ast.AugAssign):
            found.update(dict.fromkeys(_prefixes(node.target)))
        elif isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load):
            found.update(dict.fromkeys(_prefixes(node)))
    return tuple(found)


def _prefixes(node: ast.AST) -> Iterator[str]:
    """Such as "self.a.b", "self.a" and "self"."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.insert(0, node.id)
        for size in range(len(parts), 0, -1):
            yield ".".join(parts[:size])


@lru_cache(maxsize=4096)
def alters(text: str) -> tuple[str, ...]:
    """The variables that a statement may change without binding them, but for a bare "self".

    Example:
        >>> alters("losses.append(criterion(x))"), alters("scores[i] = net(x)"), alters("net(x)")
        (('losses.append', 'losses'), ('scores',), ())
    """
    found: dict[str, None] = {}
    for node in nodes_of(text):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            parts += [one for one in node.targets if isinstance(one, ast.Subscript)]
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Subscript):
            parts.append(node.target)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            parts += [function] if isinstance(function, ast.Attribute) else []
        found.update((name, None) for one in parts for name in _prefixes(_inner(one)))
    found.pop("self", None)
    return tuple(found)


def _inner(node: ast.expr) -> ast.expr:
    """Without what stands behind the first bracket: `a.b` of `a.b[0](x).c`."""
    inner: ast.expr | None = node
    found = node
    while inner is not None:
        if isinstance(inner, ast.Subscript):
            inner = found = inner.value
        elif isinstance(inner, ast.Call):
            inner = found = inner.func
        else:
            inner = inner.value if isinstance(inner, ast.Attribute) else None
    return found


@lru_cache(maxsize=4096)
def called(text: str) -> tuple[str, ...]:
    """What a statement calls, or an item of it: by name, with what it is an attribute of.

    Example:
        >>> called("z = self.encoder(x).detach() + self.heads[0](x)")
        ('self.heads', 'self.encoder')
    """
    found: dict[str, None] = {}
    for node in nodes_of(text):
        if isinstance(node, ast.Call):
            function = node.func
            while isinstance(function, ast.Subscript):
                function = function.value
            if (name := dotted(function)) is not None:
                found[name] = None
    return tuple(found)


@lru_cache(maxsize=4096)
def steep(text: str) -> tuple[tuple[str, str], ...]:
    """Operations of a statement whose value or slope can be infinite, and what of.

    Example:
        >>> steep("loss = (p.log() / mask.sum()).mean() + torch.sqrt(d)")
        (('sqrt', 'd'), ('/', 'mask.sum()'), ('log', 'p'))
    """
    found: dict[tuple[str, str], None] = {}
    for node in nodes_of(text):
        pair: tuple[str, ast.expr] | None = None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            if not _is_fixed(node.right):
                pair = "/", node.right
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            if not _is_whole(node.right):
                pair = "**", node.left
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            pair = _called(node, node.func)
        if pair is not None and (of := unparsed(pair[1])) is not None:
            found[pair[0], of] = None
    return tuple(found)


def _called(call: ast.Call, function: ast.Attribute) -> tuple[str, ast.expr] | None:
    what = _STEEP.get(function.attr)
    owner = next(_prefixes(function.value), "").rpartition(".")[2]
    arguments = call.args if owner in _OWNERS else [function.value, *call.args]
    if what is None or not arguments or owner in ("math", "np"):
        return None
    if function.attr in ("pow", "div"):
        if len(arguments) < 2:
            return None
        if what == "/":
            return None if _is_fixed(arguments[1]) else (what, arguments[1])
        return None if _is_whole(arguments[1]) else (what, arguments[0])
    return what, arguments[0]


def _is_fixed(node: ast.expr) -> bool:
    """Whether it is a number other than 0, or a count of Python's."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id == "len"
    return isinstance(node, ast.Constant) and bool(node.value)


def _is_whole(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value >= 1


@lru_cache(maxsize=4096)
def second_argument(text: str) -> str | None:
    """What a statement's first call of two arguments or more gets as the second.

    Example:
        >>> second_argument("loss = criterion(net(x), labels.flatten())")
        'labels.flatten()'
    """
    for node in nodes_of(text):
        if isinstance(node, ast.Call) and len(node.args) >= 2:
            return unparsed(node.args[1])
    return None


@lru_cache(maxsize=4096)
def mean_of(text: str) -> str | None:
    """What a statement takes a mean of; None where that has no name.

    Example:
        >>> mean_of("loss = hard.mean()"), mean_of("loss = losses[mask].mean()")
        ('hard', 'losses[mask]')
    """
    for node in nodes_of(text):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            inner: ast.AST = node.func.value
            if node.func.attr == "mean" and isinstance(inner, (ast.Name, ast.Subscript)):
                return unparsed(inner)
    return None
