"""Attributes that somebody set and nobody reads: `p.require_grad = False`.

They are seen on the parameters and modules when an optimizer steps for the first time. Which line
set them is then looked up in the user's own files: it ran before anything was watched.
"""

from __future__ import annotations

import ast
import linecache
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from types import FrameType, ModuleType
from typing import NamedTuple

from torch import Tensor, nn

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import attributes, is_a, types_of
from companion.isolation.wall import is_ours
from companion.records.line import Event
from companion.records.parse import parse
from companion.tracing.code.source import lines_of, name_of
from companion.tracing.measure.modules import TORCHS_OWN, named_modules, own_parameters, parameters

MOST = 20  # attributes whose lines are looked for
LONGEST = 1_000_000  # characters of all files that are searched, those that run first
_LIKE = re.compile(r"(req\w{2,7}|needs?)_?(the_?)?grad(s|ients?)?_?", re.IGNORECASE)
_ELSEWHERE = ("trainable",)  # what another library calls it


class Found(NamedTuple):
    """An attribute that does nothing.

    Attributes:
        owner: Whose it is, by name: "backbone.0.weight", or a module's name.
        key: The attribute.
        value: What it was set to.
        on_module: Whether a module has it.
        classes: Names of the module's class and of those above it.
    """

    owner: str
    key: str
    value: bool
    on_module: bool
    classes: frozenset[str] = frozenset()


def misnamed(networks: Iterable[nn.Module]) -> list[Event]:
    """An event for each line that set an attribute which torch does not read."""
    found = [one for net in networks for one in _odd(net)]
    if not found:
        return []
    frame = sys._getframe(1)
    texts = [pair for pair in _files(frame) if any(one.key in pair[1] for one in found)]
    files = [(name, text, tree) for name, text in texts if (tree := _tree(text)) is not None]
    several = Counter((one.key, one.on_module) for one in found)
    once = {(one.key, one.value, one.owner if one.on_module else ""): one for one in found[::-1]}
    events: dict[tuple[str, int], Event] = {}
    for one in [*once.values()][: -MOST - 1 : -1]:
        if _is_read(one, [tree for *_, tree in files]):
            continue
        for file, line, text in _lines(one, files, frame):
            details = {
                "key": one.key, "value": one.value, "on_module": one.on_module,
                "several": several[one.key, one.on_module],
                "file": file, "line": line, "source": text,
            }  # fmt: skip
            events.setdefault((file, line), Event("misnamed", one.owner, details))
    return list(events.values())


def _is_read(one: Found, trees: Iterable[ast.AST]) -> bool:
    """Whether the user's own code reads it: then it is a flag of his own."""
    if one.key == "requires_grad_":
        return False  # torch's own method
    everywhere = (node for tree in trees for node in ast.walk(tree))
    if one.on_module and one.key not in _ELSEWHERE:  # read by the module itself
        classes = [node for node in everywhere if isinstance(node, ast.ClassDef)]
        own = [node for node in classes if node.name in one.classes]
        everywhere = (node for kind in own for node in ast.walk(kind) if _is_of_self(node))
    return any(_reads(node, one.key) for node in everywhere)


def _is_of_self(node: ast.AST) -> bool:
    owner = node.value if isinstance(node, ast.Attribute) else None
    return isinstance(owner, ast.Name) and owner.id == "self"


def _reads(node: ast.AST, key: str) -> bool:
    if isinstance(node, ast.Attribute):
        return node.attr == key and isinstance(node.ctx, ast.Load)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    asks = node.func.id in ("getattr", "hasattr") and len(node.args) > 1
    return asks and _is(node.args[1], key)


def _tree(text: str) -> ast.AST | None:
    try:
        return parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if not is_ours(error):
            raise
        return None


@lru_cache(maxsize=4096)
def is_odd(key: str) -> bool:
    """Whether an attribute is `requires_grad` written otherwise.

    Example:
        >>> [is_odd(key) for key in ("require_grad", "requiresgrad", "reuqires_grad", "grad_acc")]
        [True, True, True, False]
    """
    plain = key.lower().replace("_", "")
    near = SequenceMatcher(None, plain, "requiresgrad").ratio() > 0.87
    return near or _LIKE.fullmatch(key) is not None


def _odd(net: nn.Module) -> Iterator[Found]:
    for name, module in named_modules(net):
        held = attributes(module)
        for key in held.keys() - TORCHS_OWN:
            value = held[key]
            if _is_odd(key, value) or (key == "requires_grad" and type(value) is bool):
                wants = [p.requires_grad for p in parameters(module)]
                if wants and (any(wants) if not value else not any(wants)):
                    classes = frozenset(kind.__name__ for kind in types_of(type(module)))
                    yield Found(name or type(module).__name__, key, value, True, classes)
        for own, p in dict.items(own_parameters(module)):
            for key, value in attributes(p).items() if is_a(p, Tensor) else ():
                if _is_odd(key, value) and value is not p.requires_grad:
                    yield Found(f"{name}.{own}".lstrip("."), key, value, False)


def _is_odd(key: object, value: object) -> bool:
    if type(key) is not str or type(value) is not bool or key.startswith("_"):
        return False
    return is_odd(key) or key in _ELSEWHERE


def _files(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """The user's own files, and their texts: of what runs, then of what is imported."""
    names: dict[str, None] = {}
    while frame is not None:
        names[frame.f_code.co_filename] = None
        frame = frame.f_back
    read: Callable[[ModuleType], dict[str, object]] = vars(ModuleType)["__dict__"].__get__
    for module in [*sys.modules.values()]:
        file = read(module).get("__file__") if is_a(module, ModuleType) else None
        if type(file) is str:
            names[file] = None
    if "IPython" in sys.modules:
        names.update(dict.fromkeys(name for name in [*linecache.cache] if name_of(name) != name))
    left = LONGEST
    for name in names:
        if is_in_library(name) or name.startswith("<frozen"):
            continue
        text = "".join(lines_of(name))
        left -= len(text)
        if left < 0:
            return
        yield name, text


def _lines(
    one: Found, files: Sequence[tuple[str, str, ast.AST]], frame: FrameType | None
) -> list[tuple[str, int, str]]:
    """File, line and text of the statements that may have set it; the likeliest ones."""
    found: list[tuple[int, str, int, str]] = []
    running = _running(frame)
    for file, text, tree in files:
        for statement, target, scope in _setters(tree, one.key, one.value):
            rank = _rank(one, target, tree, statement)
            if rank:
                source = ast.get_source_segment(text, statement) or ""
                rank += (file, scope) in running
                found.append((rank, name_of(file), statement.lineno, source))
    best = max((rank for rank, *_ in found), default=0)
    return [(file, line, source) for rank, file, line, source in found if rank == best]


def _running(frame: FrameType | None) -> set[tuple[str, int]]:
    """Files and first lines of the functions that run; 0 for a whole file."""
    found = set()
    while frame is not None:
        code = frame.f_code
        found.add((code.co_filename, 0 if code.co_name == "<module>" else code.co_firstlineno))
        frame = frame.f_back
    return found


def _setters(
    tree: ast.AST, key: str, value: bool, scope: int = 0
) -> Iterator[tuple[ast.stmt, str, int]]:
    """Statements that set the attribute to that value, on what, and where their function begins."""
    for node in ast.iter_child_nodes(tree):
        inner = scope
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            inner = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        if isinstance(node, ast.Assign) and _is(node.value, value):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and target.attr == key:
                    yield node, ast.unparse(target.value), scope
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            call = node.value
            named = isinstance(call.func, ast.Name) and call.func.id == "setattr"
            whole = call.args if named and len(call.args) == 3 else []
            if whole and _is(whole[1], key) and _is(whole[2], value):
                yield node, ast.unparse(whole[0]), scope
        yield from _setters(node, key, value, inner)


def _is(node: ast.expr, value: object) -> bool:
    """Whether it is that constant, or one that the text does not tell."""
    if isinstance(node, ast.Constant):
        return type(node.value) is type(value) and bool(node.value == value)
    return type(value) is bool


def _rank(one: Found, target: str, tree: ast.AST, statement: ast.stmt) -> int:
    """How likely it is that a statement set this attribute; 0 where it sets another's."""
    if target == "self":
        return 0  # a flag of the user's own class
    if one.key != "requires_grad":
        return 2
    # On a module it has no effect, on a parameter it has: which of the two is this?
    if target.endswith((".weight", ".bias", ".data")) or "param" in target.lower():
        return 0
    for node in ast.walk(tree):
        if isinstance(node, (ast.For, ast.AsyncFor)) and node.body:
            spans = node.lineno < statement.lineno <= (node.end_lineno or 0)
            names = {n.id for n in ast.walk(node.target) if isinstance(n, ast.Name)}
            if spans and target in names and "param" in ast.unparse(node.iter):
                return 0
    last, whole = target.rpartition(".")[2], one.owner.rpartition(".")[2]
    return 4 if last == whole else 2
