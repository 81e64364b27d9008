"""What a statement's text says without running it: which variables it reads, adds to, rebinds."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from companion.records.parse import dotted, nodes_of, tree_of

# Attributes that hand out a tensor's memory, or write without counting (torch's own names).
PAST_THE_COUNTER = frozenset(
    {
        "data",  # p.data.mul_(2): an alias with a counter of its own
        "numpy",
        "__array__",
        "__array_interface__",
        "__cuda_array_interface__",
        "__dlpack__",
        "to_dlpack",
        "_to_dlpack",
        "data_ptr",  # the address, for C code and Triton kernels
        "storage",
        "_typed_storage",
        "untyped_storage",
        "replay",  # a CUDA graph writes where it was captured
        "_unsafe_set_version_counter",
        "_unsafe_preserve_version_counter",
        "_AutoDispatchBelowADInplaceOrView",
    }
)


@lru_cache(maxsize=4096)
def read_grads(text: str) -> tuple[str, ...]:
    """The variables whose `.grad` a statement reads.

    Example:
        >>> read_grads("w = w - lr * w.grad")
        ('w',)
    """
    if ".is_leaf" in text:
        return ()
    tree = tree_of(text)
    nodes = [] if tree is None else list(_sure(tree))
    bound = _bound(list(nodes_of(text)))
    found = [
        dotted(node.value)
        for node in nodes
        if isinstance(node, ast.Attribute)
        and node.attr == "grad"
        and isinstance(node.ctx, ast.Load)
        and not _starts_with(node.value, bound)
    ]
    return tuple(dict.fromkeys(name for name in found if name is not None))


@lru_cache(maxsize=4096)
def takes_grads(text: str) -> bool:
    """Whether a statement takes a `.grad` anywhere, in a comprehension as well, not to clear it.

    Example:
        >>> takes_grads("norms = [p.grad.norm() for p in net.parameters()]")
        True
        >>> takes_grads("[p.grad.zero_() for p in net.parameters() if p.grad is not None]")
        False
    """
    nodes = list(nodes_of(text))
    idle = [n.value for n in nodes if isinstance(n, ast.Attribute) and n.attr in _CLEARING]
    idle += [n.left for n in nodes if isinstance(n, ast.Compare)]
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "grad"
        and isinstance(node.ctx, ast.Load)
        and not any(node is one for one in idle)
        for node in nodes
    )


_CLEARING = {"zero_", "detach_", "requires_grad_"}


def _sure(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree that are surely evaluated, if it ends without an exception."""
    yield node
    parts: Iterable[ast.AST] = ast.iter_child_nodes(node)
    if isinstance(node, (ast.IfExp, ast.If, ast.While, ast.Assert)):
        parts = [node.test]
    elif isinstance(node, (ast.For, ast.AsyncFor)):
        parts = [node.iter]
    elif isinstance(node, ast.BoolOp):
        parts = node.values[:1]
    elif isinstance(node, ast.Compare):
        parts = [node.left, node.comparators[0]]
    elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
        parts = [node.generators[0].iter]
    elif isinstance(node, (ast.Lambda, ast.FunctionDef, ast.AsyncFunctionDef, ast.Try, ast.Match)):
        parts = []
    for part in parts:
        yield from _sure(part)


def _reaches(value: object) -> bool:
    return isinstance(value, str) and value in PAST_THE_COUNTER


def _bound(nodes: Sequence[ast.AST]) -> set[str]:
    """The variables that a statement itself binds, in a loop, a comprehension or a lambda."""
    loops = [n.target for n in nodes if isinstance(n, (ast.comprehension, ast.For))]
    bound = {n.id for loop in loops for n in ast.walk(loop) if isinstance(n, ast.Name)}
    return bound | {node.arg for node in nodes if isinstance(node, ast.arg)}


def _starts_with(node: ast.AST, bound: set[str]) -> bool:
    """Whether a dotted name begins with a variable that the statement itself binds."""
    return (dotted(node) or "").partition(".")[0] in bound


@lru_cache(maxsize=4096)
def added_to(text: str) -> tuple[str, ...]:
    """The variables a statement adds to: `total += x`, `total = total + x`, `total.append(x)`.

    Example:
        >>> added_to("total += loss"), added_to("self.losses.append(loss)")
        (('total',), ('self.losses',))
    """
    found = []
    for node in nodes_of(text):
        if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add):
            found.append(dotted(node.target))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp):
            operands = {dotted(operand) for operand in ast.walk(node.value)}
            if isinstance(node.value.op, ast.Add):
                found += [name for t in node.targets if (name := dotted(t)) in operands]
        elif isinstance(node, ast.Call):
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "append":
                found.append(dotted(called.value))
    return tuple(dict.fromkeys(name for name in found if name is not None))


@lru_cache(maxsize=4096)
def rebound_with_grad(text: str) -> str | None:
    """What `w = w - lr * w.grad` binds anew; None for every other statement.

    Example:
        >>> rebound_with_grad("w = w - lr * w.grad")
        'w'
        >>> rebound_with_grad("w -= lr * w.grad") is None
        True
    """
    for node in nodes_of(text):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.BinOp):
            continue
        try:
            parts = node.targets[0], node.value, node.value.left
            target, value, left = map(ast.unparse, parts)
        except ValueError:  # a hexadecimal number with too many digits to be written in decimal
            continue
        descends = isinstance(node.value.op, ast.Sub) and f"{left}.".startswith(f"{target}.")
        if descends and read_grads(value):
            return target
    return None


@lru_cache(maxsize=4096)
def bound(text: str) -> tuple[tuple[str, bool], ...]:
    """The variables that a statement surely binds to what it computes, and whether in a `for`.

    Example:
        >>> bound("outputs, loss = step(x)"), bound("for x, y in loader:"), bound("lr = 0.1")
        ((('outputs', False), ('loss', False)), (('x', True), ('y', True)), ())
    """
    tree = tree_of(text)
    found: dict[str, bool] = {}
    for node in () if tree is None else _sure(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
            targets = node.targets
        elif (isinstance(node, ast.AnnAssign) and node.value is not None) or isinstance(
            node, (ast.AugAssign, ast.NamedExpr, ast.For, ast.AsyncFor)
        ):
            targets = [node.target]
        is_loop = isinstance(node, (ast.For, ast.AsyncFor))
        if is_loop and not isinstance(node.body[0], ast.Pass):  # type: ignore[attr-defined]
            continue  # a whole loop on a line
        for target in targets:
            for name in _targets(target):
                found[name] = is_loop
    return tuple(found.items())


def _targets(target: ast.expr) -> Iterator[str]:
    if isinstance(target, (ast.Tuple, ast.List)):
        for one in target.elts:
            yield from _targets(one)
    else:
        name = dotted(target)
        if name is not None:
            yield name


@lru_cache(maxsize=4096)
def reached(text: str) -> tuple[str, ...] | None:
    """The variables whose memory a statement reaches for, by `.data`, `.numpy()` and the like.

    None where a name does not tell: `nets[0].weight.data`, `getattr(p, "data")`.

    Example:
        >>> reached("norm = p.data.norm()"), reached("x = batch['data']"), reached("f(x).data")
        (('p',), (), None)
    """
    nodes = list(nodes_of(text))
    if not nodes:
        return None
    keys = {id(node.slice) for node in nodes if isinstance(node, ast.Subscript)}
    bound = _bound(nodes)
    if sum(isinstance(node, ast.stmt) for node in nodes) > 1:  # one may bind what the next reaches
        bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Attribute) and node.attr in PAST_THE_COUNTER:
            name = dotted(node.value)
            if name is None or name.partition(".")[0] in bound:
                return None
            found.append(name)
        elif isinstance(node, ast.Constant) and id(node) not in keys and _reaches(node.value):
            return None
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=4096)
def is_call(text: str) -> bool:
    """Whether a statement is a call, and nothing takes what that returns.

    Example:
        >>> is_call("clip_(p, 1.0)"), is_call("norm = clip_(p, 1.0)"), is_call("return clip_(p)")
        (True, False, False)
    """
    body = getattr(tree_of(text), "body", [])
    return len(body) == 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Call)
