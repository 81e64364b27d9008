"""Changes that are no mistakes: a script that is changed so trains as rightly as before."""

from __future__ import annotations

import ast
from collections.abc import Callable

from tests.package.mutation.sites import (
    called,
    insert,
    is_backward,
    is_clear,
    is_step,
    optimizers,
    parse,
    remove,
    statements,
)

Change = Callable[[ast.Module], bool]
CHANGES: dict[str, Change] = {}


def sound(change: Change) -> Change:
    """Put a change into the table."""
    CHANGES[change.__name__.replace("_", " ")] = change
    return change


def _is_simple_backward(stmt: ast.stmt) -> bool:
    call = called(stmt)
    return (
        is_backward(stmt)
        and call is not None
        and isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
    )


def _loss(stmt: ast.stmt) -> str:
    call = called(stmt)
    assert call is not None
    assert isinstance(call.func, ast.Attribute)
    return ast.unparse(call.func.value)


@sound
def unchanged(tree: ast.Module) -> bool:
    return True


@sound
def zero_grad_after_the_step(tree: ast.Module) -> bool:
    """Where there is one of both, in one list of statements."""
    clears, steps = statements(tree, is_clear), statements(tree, is_step)
    if len(clears) != 1 or len(steps) != 1 or clears[0][0] is not steps[0][0]:
        return False
    body, i = clears[0]
    clear = body.pop(i)
    body.insert(next(k for k, stmt in enumerate(body) if is_step(stmt)) + 1, clear)
    return True


@sound
def cleared_to_zeros(tree: ast.Module) -> bool:
    found = statements(tree, is_clear)
    for body, i in found:
        call = called(body[i])
        assert call is not None
        call.keywords = [ast.keyword("set_to_none", ast.Constant(False))]
    return bool(found)


@sound
def cleared_twice(tree: ast.Module) -> bool:
    return insert(tree, is_clear, ast.unparse, after=True)


@sound
def cleared_by_hand(tree: ast.Module) -> bool:
    """`p.grad = None`, where all parameters are one network's."""
    nets = optimizers(tree)
    clears = {ast.unparse(body[i]) for body, i in statements(tree, is_clear)}
    if len(nets) != 1 or len(clears) != 1 or not nets[0][2].isidentifier() or "self" in str(clears):
        return False
    text = f"for _p in {nets[0][2]}.parameters():\n    _p.grad = None"
    return insert(tree, is_clear, lambda stmt: text, after=True) and remove(tree, is_clear)


@sound
def backward_by_its_function(tree: ast.Module) -> bool:
    found = [(body, i) for body, i in statements(tree, is_backward) if _is_bare(body[i])]
    for body, i in found:
        body[i] = parse(f"torch.autograd.backward({_loss(body[i])})")[0]
    return bool(found)


def _is_bare(stmt: ast.stmt) -> bool:
    call = called(stmt)
    return call is not None and isinstance(call.func, ast.Attribute) and not call.args


@sound
def graph_retained_once(tree: ast.Module) -> bool:
    found = [(body, i) for body, i in statements(tree, is_backward) if _is_bare(body[i])]
    for body, i in found:
        call = called(body[i])
        assert call is not None
        call.keywords.append(ast.keyword("retain_graph", ast.Constant(True)))
    return bool(found)


@sound
def the_norm_of_gradients_is_printed(tree: ast.Module) -> bool:
    nets = optimizers(tree)
    if len(nets) != 1 or not nets[0][2].isidentifier():
        return False
    net = nets[0][2]
    text = (
        f"print(sum(p.grad.norm() ** 2 for p in {net}.parameters() if p.grad is not None) ** 0.5)"
    )
    return _within(tree, net) and insert(tree, is_backward, lambda stmt: text, after=True)


@sound
def clipped_to_infinity(tree: ast.Module) -> bool:
    """A way to measure the norm."""
    nets = optimizers(tree)
    if len(nets) != 1 or not nets[0][2].isidentifier() or "scaler" in ast.unparse(tree):
        return False
    net = nets[0][2]
    text = f"torch.nn.utils.clip_grad_norm_({net}.parameters(), float('inf'))"
    return _within(tree, net) and insert(tree, is_backward, lambda stmt: text, after=True)


def _within(tree: ast.Module, name: str) -> bool:
    """Whether the network's variable is one of the module's: functions see it, too."""
    return any(
        isinstance(stmt, ast.Assign) and ast.unparse(stmt.targets[0]) == name for stmt in tree.body
    )


@sound
def losses_kept_without_their_graph(tree: ast.Module) -> bool:
    tree.body[:0] = parse("kept_losses = []")
    return insert(
        tree,
        _is_simple_backward,
        lambda stmt: f"kept_losses.append({_loss(stmt)}.detach())",
        after=True,
    )


@sound
def last_loss_kept(tree: ast.Module) -> bool:
    tree.body[:0] = parse("kept = {}")
    return insert(
        tree, _is_simple_backward, lambda stmt: f"kept['loss'] = {_loss(stmt)}", after=True
    )


@sound
def an_average_of_the_weights(tree: ast.Module) -> bool:
    nets = optimizers(tree)
    if len(nets) != 1 or not nets[0][2].isidentifier() or not _within(tree, nets[0][2]):
        return False
    body, i, net = nets[0]
    body[i + 1 : i + 1] = parse(
        f"import copy\naverage = copy.deepcopy({net}).requires_grad_(False)"
    )
    text = (
        "with torch.no_grad():\n"
        f"    for _a, _b in zip(average.state_dict().values(), {net}.state_dict().values()):\n"
        "        _a.copy_(_b if not _a.is_floating_point() else 0.9 * _a + 0.1 * _b)"
    )
    return insert(tree, is_step, lambda stmt: text, after=True)


@sound
def a_second_network_that_waits(tree: ast.Module) -> bool:
    for body, i, _ in optimizers(tree):
        body[i + 1 : i + 1] = parse(
            "waiting = torch.nn.Linear(3, 3)\n"
            "waiting_optimizer = torch.optim.SGD(waiting.parameters(), lr=0.1)"
        )
        return True
    return False


@sound
def an_input_with_a_gradient(tree: ast.Module) -> bool:
    """Looked at before the training, as a saliency map is."""
    nets = optimizers(tree)
    if len(nets) != 1:
        return False
    body, i, _ = nets[0]
    body[i + 1 : i + 1] = parse(
        "_probe = torch.ones(2, 2, requires_grad=True)\n"
        "_probe.square().sum().backward()\n"
        "print(_probe.grad.sum().item())"
    )
    return True


@sound
def everything_in_a_function(tree: ast.Module) -> bool:
    """Where the whole script is not in one already."""
    last = tree.body[-1]
    if "__main__" in ast.unparse(last) or len(tree.body) < 8 or "global" in ast.unparse(tree):
        return False
    first = next(
        i for i, one in enumerate(tree.body) if not isinstance(one, ast.Import | ast.ImportFrom)
    )
    inside = tree.body[first:]
    if any(isinstance(one, ast.ClassDef) for one in inside):
        return False
    main = parse("def run_all():\n    pass")[0]
    assert isinstance(main, ast.FunctionDef)
    main.body = inside
    tree.body[first:] = [main, *parse("run_all()")]
    return True


@sound
def other_names(tree: ast.Module) -> bool:
    names = {"model": "m", "net": "m", "optimizer": "o", "opt": "o", "loss": "ell"}
    taken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if {"m", "o", "ell"} & taken or any(isinstance(node, ast.keyword) and node.arg in names
                                        for node in ast.walk(tree)):  # fmt: skip
        return False
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = names.get(node.arg, node.arg)
    return True
