"""What a statement keeps something in, read from its text: a sum, a list, a dict, an object."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from companion.records.parse import dotted, nodes_of

How = Literal["sum", "cell", "add", "call"]
ADDING = {"append", "appendleft", "extend", "extendleft", "insert", "add", "update", "setdefault",
          "add_", "sub_", "lerp_", "mul_"}  # fmt: skip


class Keeper(NamedTuple):
    """A variable that a statement may have kept something in.

    Attributes:
        name: As it is written: "total", "self.history".
        how: "sum", it is bound to something made of itself; "cell", one of its entries is
            assigned to; "add", a method is called that adds to it, or to an entry; "call", any
            other method, for what it does and not for what it returns.
    """

    name: str
    how: How


@lru_cache(maxsize=4096)
def keepers(text: str) -> tuple[Keeper, ...]:
    """The variables that a statement may have kept something in, that was there before.

    Example:
        >>> [(k.name, k.how) for k in keepers("total = total + loss")]
        [('total', 'sum')]
        >>> [(k.name, k.how) for k in keepers("log['loss'][i].append(loss)")]
        [('log', 'add')]
        >>> [(k.name, k.how) for k in keepers("totals[name] += loss")]
        [('totals', 'cell')]
        >>> keepers("total = a + b"), keepers("meter.update(loss.item())"), keepers("net.eval()")
        ((), (), ())
    """
    found: dict[Keeper, None] = {}
    nodes = list(nodes_of(text))
    done = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.AugAssign):
            found.update(dict.fromkeys(_target(node.target, "sum")))
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            read = {dotted(one) for one in ast.walk(node.value)}
            for target in targets:
                name = dotted(target)
                if name is None or name in read:
                    found.update(dict.fromkeys(_target(target, "sum")))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = _root(node.func.value)
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            adds = node.func.attr in ADDING
            if owner is None or not any(map(_may_have_graph, given)):
                continue
            if adds or (id(node) in done and owner != "self"):
                found[Keeper(owner, "add" if adds else "call")] = None
    return tuple(found)


def _target(target: ast.expr, how: How) -> Iterator[Keeper]:
    if isinstance(target, ast.Subscript):
        name, how = _root(target), "cell"
    else:
        name = dotted(target)
    if name is not None:
        yield Keeper(name, how)


def _root(node: ast.expr) -> str | None:
    """The variable that an entry, or what a method gives, is looked up in."""
    while isinstance(node, (ast.Subscript, ast.Call)):
        if isinstance(node, ast.Call):
            if not isinstance(node.func, ast.Attribute):
                return None
            node = node.func.value
        else:
            node = node.value
    name = dotted(node)
    if name is None and isinstance(node, ast.Attribute):  # such as nets[0].losses
        return _root(node.value)
    return name


_PLAIN = {"item", "detach", "tolist", "numpy", "float", "int", "str", "len", "format", "state_dict"}


def _may_have_graph(given: ast.expr) -> bool:
    """Whether what is handed over may bring a graph along, as far as its text tells."""
    if isinstance(given, (ast.Constant, ast.JoinedStr, ast.Compare, ast.Lambda)):
        return False
    if isinstance(given, ast.Call):
        called = given.func
        name = called.attr if isinstance(called, ast.Attribute) else dotted(called)
        return name not in _PLAIN
    return True


@lru_cache(maxsize=4096)
def handed_over(text: str) -> tuple[str, ...]:
    """The variables that a statement hands over whole, to be added or kept.

    Example:
        >>> handed_over("history.append((step, loss))"), handed_over("total = total + 2 * loss")
        (('step', 'loss'), ('total', 'loss'))
        >>> handed_over("history.append(loss.item())")
        ()
    """
    found: dict[str, None] = {}
    for node in nodes_of(text):
        given: list[ast.expr] = []
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and node.value:
            given = [node.value]
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            given = [*node.value.args, *(keyword.value for keyword in node.value.keywords)]
        for one in given:
            found.update(dict.fromkeys(_whole(one)))
    return tuple(found)


def _whole(node: ast.expr) -> Iterator[str]:
    name = dotted(node)
    if name is not None:
        yield name
    elif isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        for one in node.elts:
            yield from _whole(one)
    elif isinstance(node, ast.Dict):
        for one in node.values:
            yield from _whole(one)
    elif isinstance(node, ast.BinOp):
        yield from _whole(node.left)
        yield from _whole(node.right)
    elif isinstance(node, ast.IfExp):
        yield from _whole(node.body)
        yield from _whole(node.orelse)


def summand(text: str, name: str) -> str | None:
    """The variable that a statement adds to this one; None where it does anything else.

    Example:
        >>> summand("total += loss", "total"), summand("total += 2 * loss", "total")
        ('loss', None)
    """
    for node in nodes_of(text):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            return dotted(node.value) if dotted(node.target) == name else None
    return None


def appended(text: str) -> str | None:
    """What a statement computes and appends at once, as it is written.

    Example:
        >>> appended("outputs.append(net(x))"), appended("outputs.append(y)")
        ('net(x)', None)
    """
    node = next((node.value for node in nodes_of(text) if isinstance(node, ast.Expr)), None)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    is_one = node.func.attr == "append" and len(node.args) == 1 and not node.keywords
    made = node.args[0] if is_one and dotted(node.func.value) else None
    return ast.get_source_segment(text, made) if isinstance(made, ast.Call) else None


def with_detached(text: str, names: Sequence[str]) -> str | None:
    """A statement as it would keep no graph: each of these variables is detached there.

    Example:
        >>> with_detached("history.append((step, loss))", ("loss",))
        'history.append((step, loss.detach()))'
        >>> with_detached("total += loss", ("loss",))
        'total += loss.detach()'
    """
    tree = next(iter(nodes_of(text)), None)
    if not isinstance(tree, ast.Module) or len(tree.body) != 1:
        return None
    wanted = set(names)
    places = [
        (node.lineno, node.end_col_offset)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Name, ast.Attribute))
        and isinstance(node.ctx, ast.Load)
        and dotted(node) in wanted
        and node.end_lineno == node.lineno
    ]
    lines = [line.encode() for line in text.splitlines()]
    for number, column in sorted(places, reverse=True):
        line = lines[number - 1]
        lines[number - 1] = line[:column] + b".detach()" + line[column:]
    return b"\n".join(lines).decode() if places else None
