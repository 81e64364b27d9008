"""The loops that are compared on, each as a script.

A loop of the tests is a function with `with trace(net, optimizer):` in it. Its script has the
function, what it uses, and neither the `with` nor a comment: nobody is told what is wrong. A peer
that wants edits gets a second text, in which `_watch(...)` stands where a reader would put them:
before the training loop.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from companion.command.explaining.examples import FAMILIES, TOGETHER
from peering.kinds import FOLDER
from peering.theirs import THEIRS

TESTS = Path(__file__).parents[2] / "tests/package/loops"
WATCH = "_watch"  # what an edited script calls, with its networks and optimizers
START = "import torch\n\ntorch.manual_seed(0)\n"


@dataclass(frozen=True)
class Loop:
    """A script, and what is wrong with it.

    Attributes:
        name: Where it comes from.
        group: Of the tests, of explain, of a folder, or of a kind that only peers look for.
        kinds: The rules that name its mistake; none if it is sound.
        script: As its author wrote it.
        edited: The same, with a call of `WATCH` before the training.
    """

    name: str
    group: str
    kinds: frozenset[str]
    script: str
    edited: str

    @property
    def file(self) -> str:
        """A name for its script."""
        return re.sub(r"\W+", "_", f"{self.group}_{self.name}") + ".py"


def every(folder: Path | None = None) -> list[Loop]:
    """All loops there are; with a folder, its scripts too."""
    found = [*of_the_tests(), *of_explain(), *of_peers()]
    return [*found, *of_a_folder(folder)] if folder else found


# The tests' loops.

# Sound as the part of a training that a test looks at; alone they never train, or a part never.
EXCERPTS = {"sound_forward_and_backward_alone", "sound_one_optimizer_rests"}


def of_the_tests() -> Iterator[Loop]:
    """A script for each function that is broken, repaired or sound."""
    parts = ast.parse((TESTS / "parts.py").read_text(encoding="utf-8")).body
    for path in sorted([*TESTS.glob("broken_*.py"), *TESTS.glob("sound_*.py")]):
        text = path.read_text(encoding="utf-8")
        lines = text.splitlines()
        nodes = [*parts, *ast.parse(text).body]
        for node in nodes:
            if isinstance(node, ast.FunctionDef) and _is_a_loop(node.name):
                own = "\n".join(lines[node.lineno - 1 : node.end_lineno])
                kinds = frozenset(re.findall(r"# <- ([a-z-]+)", own))
                plain, edited = (_script(nodes, node.name, asked) for asked in (False, True))
                yield Loop(f"{path.stem}.{node.name}", "tests", kinds, plain, edited)


def _is_a_loop(name: str) -> bool:
    return name.startswith(("broken", "repaired", "sound_")) and name not in EXCERPTS


def _script(nodes: list[ast.stmt], name: str, edited: bool) -> str:
    """A function of a module, with what it needs, as a script that calls it."""
    defined = {one: node for node in nodes for one in _names(node)}
    needed, todo = set[str](), [name]
    while todo:
        one = todo.pop()
        if one in needed or one not in defined:
            continue
        needed.add(one)
        todo += [at.id for at in ast.walk(defined[one]) if isinstance(at, ast.Name)]
    kept = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            wanted = not (getattr(node, "module", None) or "").startswith(("tests", "__future__"))
        else:
            wanted = bool(needed.intersection(_names(node)))
        if wanted:
            kept.append(node)
    # parsed anew, since it is changed in place
    text = "\n\n".join(dict.fromkeys(ast.unparse(node) for node in kept))
    tree = _Alone(name, edited).visit(ast.parse(text))
    body = ast.unparse(ast.fix_missing_locations(tree))
    return f"from __future__ import annotations\n\n{START}\n{body}\n\ntrain()\n"


def _names(node: ast.stmt) -> list[str]:
    """What a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [one.id for one in node.targets if isinstance(one, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


class _Alone(ast.NodeTransformer):
    """Takes the trace out of a loop of the tests, and every docstring."""

    def __init__(self, name: str, edited: bool) -> None:
        self.name, self.edited = name, edited

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.generic_visit(node)
        node.args.args = [one for one in node.args.args if one.arg != "trace"]
        node.name = "train" if node.name == self.name else node.name
        return _undocumented(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        return _undocumented(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.args = [one for one in node.args if not _is_trace(one)]
        return node

    def visit_With(self, node: ast.With) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        told: list[ast.stmt] = []
        for item in node.items[:]:
            call = item.context_expr
            if isinstance(call, ast.Call) and _is_trace(call.func):
                node.items.remove(item)
                watch = ast.Call(ast.Name(WATCH, ast.Load()), call.args, [])
                told = [ast.Expr(watch)] if self.edited else []
        return [*told, node] if node.items else [*told, *node.body]


def _is_trace(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "trace"


def _undocumented(node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]
    return node


# Scripts that are written as such.


def of_explain() -> Iterator[Loop]:
    """The broken and repaired scripts of `companion explain`, but those of several processes."""
    for family, examples in FAMILIES.items():
        for name, one in examples.items() if family != TOGETHER else ():
            for repaired in False, True:
                text = one.script(repaired=repaired)
                kinds = frozenset[str]() if repaired else frozenset({name})
                label = f"{name}, repaired" if repaired else name
                yield Loop(label, "explain", kinds, text, edited(text))


def of_peers() -> Iterator[Loop]:
    """Mistakes that a peer looks for and this project does not."""
    for name, text in THEIRS.items():
        whole = START + text
        yield Loop(name, "peers", frozenset({name}), whole, edited(whole))


def of_a_folder(folder: Path) -> Iterator[Loop]:
    """The scripts of a folder, of which `FOLDER` says what is wrong with each."""
    for path in sorted(folder.glob("*.py")):
        if path.stem not in FOLDER:
            raise SystemExit(f"{path.name}: say in peering/kinds.py, FOLDER, what is wrong with it")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if ast.get_docstring(tree) is not None:
            tree.body = tree.body[1:]  # it says what is wrong
        text = ast.unparse(tree) + "\n"
        kinds = frozenset(FOLDER[path.stem].split())
        yield Loop(path.stem, "folder", kinds, text, edited(text))


def edited(text: str) -> str:
    """With a call of `WATCH` before the outermost loop that trains, or before the last line."""
    tree = ast.parse(text)
    place = next(_places(tree.body), None) or (tree.body, len(tree.body) - 1)
    body, index = place
    call = ast.parse(f"{WATCH}(globals(), locals())").body[0]
    body.insert(index, call)
    return ast.unparse(ast.fix_missing_locations(tree)) + "\n"


def _places(body: list[ast.stmt]) -> Iterator[tuple[list[ast.stmt], int]]:
    """Where loops with a backward, a step or a zero_grad begin, outermost first."""
    for index, node in enumerate(body):
        if isinstance(node, ast.For | ast.While):
            named = {at.attr for at in ast.walk(node) if isinstance(at, ast.Attribute)}
            if named & {"backward", "step", "zero_grad", "no_grad"}:
                yield body, index
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.With):
            yield from _places(node.body)
