"""Whether a script may average parameters after the watched steps: local SGD, told by its source.

Processes that step alone on purpose average their parameters every so many steps, and few of those
steps are watched. So the source is looked at: for an averager's name, and for tensors that are
parameters, or may be, in a call that gathers or sums what several processes have.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.util import decode_source
from types import ModuleType

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes
from companion.isolation.wall import is_ours
from companion.records.parse import parse

LONGEST = 1_000_000  # bytes of a file
MOST = 500  # files
AVERAGERS = re.compile(r"average_param|model_?averag|local_?sgd|diloco", re.IGNORECASE)
PARAMETERS = re.compile(r"param|weight|state_dict|\.data\b|vector", re.IGNORECASE)
CALLS = {"all_reduce", "all_reduce_coalesced", "all_gather", "all_gather_into_tensor", "gather"}
CALLS |= {"all_gather_object", "gather_object", "all_gather_coalesced", "reduce", "send", "isend"}
CALLS |= {"reduce_scatter", "reduce_scatter_tensor", "allreduce", "P2POp"}
ANY = re.compile(r"\b(" + "|".join(CALLS) + r")\b")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def script_may_average(files: Iterable[str]) -> bool:
    """Whether any of these files, or of the user's modules, says so; or one cannot be read."""
    watched = set(files)
    for module in [*sys.modules.values()]:
        name = attributes(module).get("__file__") if type(module) is ModuleType else None
        if type(name) is str and name.endswith(".py") and not is_in_library(name):
            watched.add(name)
    return len(watched) > MOST or any(map(_file_may, watched))


def _file_may(name: str) -> bool:
    try:
        with open(name, "rb") as file:
            text = decode_source(file.read(LONGEST + 1))
    except Exception as error:  # no such file: a notebook's cell; not text
        if not is_ours(error):
            raise
        return True
    return len(text) > LONGEST or may_average(text)


def may_average(text: str) -> bool:
    """Whether a source names what averages parameters, or hands on tensors that may be some.

    Example:
        >>> may_average("for p in net.parameters():\\n    dist.all_reduce(p.data)")
        True
        >>> may_average("loss = criterion(net(x), y)\\ndist.all_reduce(loss)")
        False
    """
    if AVERAGERS.search(text):
        return True
    if not ANY.search(text):
        return False
    try:
        return any(_calls(parse(text), _Scope()))
    except Exception as error:  # no Python, or nested too deeply
        if not is_ours(error):
            raise
        return True


class _Scope:
    """What the names of a function or of a module were bound to; an argument, to nothing known."""

    def __init__(self, outer: _Scope | None = None) -> None:
        self.bound: dict[str, list[ast.expr | None]] = {}
        self._outer = outer

    def bind(self, target: ast.AST, value: ast.expr | None) -> None:
        """A name, or each of several, gets a value."""
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.bound.setdefault(node.id, []).append(value)

    def may_be_parameters(self, value: ast.expr, seen: set[str]) -> bool:
        """Whether an expression names parameters, or something of which nothing is known."""
        if PARAMETERS.search(ast.unparse(value)):
            return True
        called = {id(node.func) for node in ast.walk(value) if isinstance(node, ast.Call)}
        for node in ast.walk(value):
            if not isinstance(node, ast.Name) or id(node) in called or node.id in seen:
                continue
            seen.add(node.id)
            for one in self._values(node.id):
                if one is None or self.may_be_parameters(one, seen):
                    return True
        return False

    def _values(self, name: str) -> list[ast.expr | None]:
        if name in self.bound:
            return self.bound[name]
        return [] if self._outer is None else self._outer._values(name)


def _calls(function: ast.AST, scope: _Scope) -> Iterator[bool]:
    """For each call that gathers or sums: whether it is given what may be parameters."""
    inner, calls, waiting = [], [], [*ast.iter_child_nodes(function)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _FUNCTIONS):
            inner.append(node)
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Call):
            calls.append(node)
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                scope.bind(target, node.value)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
            scope.bind(node.target, node.value)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            scope.bind(node.target, node.iter)
    for call in calls:
        last = call.func.attr if isinstance(call.func, ast.Attribute) else None
        last = call.func.id if isinstance(call.func, ast.Name) else last
        given = [*call.args, *(one.value for one in call.keywords)]
        if last in CALLS and not _is_of_one_tensor(call, last):
            yield any(scope.may_be_parameters(one, set()) for one in given)
    for one in inner:
        below = _Scope(scope)
        its = one.args
        several = [*its.posonlyargs, *its.args, *its.kwonlyargs, its.vararg, its.kwarg]
        below.bound |= {argument.arg: [None] for argument in several if argument is not None}
        yield from _calls(one, below)


def _is_of_one_tensor(call: ast.Call, name: str) -> bool:
    """Whether it is `x.gather(1, index)`, `torch.gather(x, 1, index)`, or `einops.reduce`."""
    kinds = [type(one.value) for one in call.args if isinstance(one, ast.Constant)]
    dim = int in kinds or any(one.arg == "dim" for one in call.keywords)
    return str in kinds or (name == "gather" and dim)
