"""Mistakes, each put into a script wherever it can be; and the rules that may name it.

An operator changes a tree in place, and says whether it found a place.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import NamedTuple

from tests.package.mutation.sites import (
    called,
    calls,
    insert,
    is_backward,
    is_clear,
    is_clip,
    is_scheduler,
    is_step,
    optimizers,
    parse,
    remove,
    statements,
)

Change = Callable[[ast.Module], bool]


class Fault(NamedTuple):
    """A mistake.

    Attributes:
        change: Puts it in.
        rules: Those that may find it: which of them depends on the loop.
    """

    change: Change
    rules: tuple[str, ...]


FAULTS: dict[str, Fault] = {}


def fault(*rules: str) -> Callable[[Change], Change]:
    """Put a mistake into the table."""

    def enter(change: Change) -> Change:
        FAULTS[change.__name__.replace("_", " ")] = Fault(change, rules)
        return change

    return enter


# What is left out, or never called.


@fault("accumulates", "polluted")
def no_zero_grad(tree: ast.Module) -> bool:
    return remove(tree, is_clear)


@fault("no-backward", "clears-and-no-more", "none-gradient")
def no_backward(tree: ast.Module) -> bool:
    return remove(tree, is_backward)


@fault("never-steps", "accumulates")
def no_step(tree: ast.Module) -> bool:
    return remove(tree, is_step)


@fault("not-called", "no-backward")
def backward_not_called(tree: ast.Module) -> bool:
    return _not_called(tree, is_backward)


@fault("not-called", "never-steps")
def step_not_called(tree: ast.Module) -> bool:
    return _not_called(tree, is_step)


@fault("not-called", "accumulates", "polluted")
def zero_grad_not_called(tree: ast.Module) -> bool:
    return _not_called(tree, is_clear)


def _not_called(tree: ast.Module, test: Callable[[ast.stmt], bool]) -> bool:
    found = [
        stmt
        for body, i in statements(tree, test)
        if isinstance(stmt := body[i], ast.Expr) and isinstance(stmt.value, ast.Call)
    ]
    for stmt in found:
        assert isinstance(stmt.value, ast.Call)
        stmt.value = stmt.value.func
    return bool(found)


# What comes in the wrong order.


@fault("discarded", "accumulates")
def zero_grad_before_step(tree: ast.Module) -> bool:
    clears = statements(tree, is_clear)
    if not clears:
        return False
    text = ast.unparse(clears[0][0][clears[0][1]])
    if len({ast.unparse(body[i]) for body, i in clears}) > 1 or "self" in text:
        return False
    remove(tree, is_clear)
    return insert(tree, is_step, lambda stmt: text, after=False)


@fault("discarded", "step-a-batch-late", "step-before-backward", "accumulates")
def step_before_backward(tree: ast.Module) -> bool:
    return _move_before(tree, is_step, is_backward)


@fault("clip-after-step")
def clip_after_step(tree: ast.Module) -> bool:
    return _move_after(tree, is_clip, is_step)


@fault("clip-before-backward")
def clip_before_backward(tree: ast.Module) -> bool:
    return _move_before(tree, is_clip, is_backward)


@fault("scheduler-first")
def scheduler_first(tree: ast.Module) -> bool:
    found = statements(tree, is_scheduler)
    if len(found) != 1:
        return False
    body, i = found[0]
    if ast.unparse(body[i]).endswith(".step()"):
        body.insert(0, body.pop(i))
        return i > 0
    return False


def _move_before(
    tree: ast.Module, what: Callable[[ast.stmt], bool], where: Callable[[ast.stmt], bool]
) -> bool:
    for body, i in statements(tree, what):
        at = next((k for k, stmt in enumerate(body[:i]) if where(stmt)), None)
        if at is not None:
            body.insert(at, body.pop(i))
            return True
    return False


def _move_after(
    tree: ast.Module, what: Callable[[ast.stmt], bool], where: Callable[[ast.stmt], bool]
) -> bool:
    for body, i in statements(tree, what):
        at = next((k for k, stmt in enumerate(body) if k > i and where(stmt)), None)
        if at is not None:
            body.insert(at, body.pop(i))
            return True
    return False


# What is done twice.


@fault("backward-twice")
def backward_twice(tree: ast.Module) -> bool:
    return insert(tree, is_backward, ast.unparse, after=True)


@fault("steps-twice")
def step_twice(tree: ast.Module) -> bool:
    return insert(tree, _plain_step, ast.unparse, after=True)


def _plain_step(stmt: ast.stmt) -> bool:
    text = ast.unparse(stmt)
    return is_step(stmt) and "closure" not in text and "scaler" not in text


# What the loss hangs on.


def _loss(stmt: ast.stmt) -> str | None:
    """The variable whose backward a statement calls."""
    call = called(stmt)
    if call is None or not isinstance(call.func, ast.Attribute):
        return None
    return call.func.value.id if isinstance(call.func.value, ast.Name) else None


def _loss_backward(stmt: ast.stmt) -> bool:
    return is_backward(stmt) and _loss(stmt) is not None


@fault("no-gradient")
def loss_detached(tree: ast.Module) -> bool:
    return insert(
        tree,
        _loss_backward,
        lambda stmt: f"{_loss(stmt)} = {_loss(stmt)}.detach().requires_grad_()",
        after=False,
    )


@fault("not-finite")
def root_of_zero(tree: ast.Module) -> bool:
    return insert(
        tree,
        _loss_backward,
        lambda stmt: (
            f"{_loss(stmt)} = {_loss(stmt)} + ({_loss(stmt)} - {_loss(stmt)}.detach()).sqrt()"
        ),
        after=False,
    )


@fault("no-gradient")
def loss_without_graph(tree: ast.Module) -> bool:
    return insert(
        tree, _loss_backward, lambda stmt: f"{_loss(stmt)} = {_loss(stmt)}.detach()", after=False
    )


@fault("graph-kept")
def loss_kept_in_a_list(tree: ast.Module) -> bool:
    tree.body[:0] = parse("kept_losses = []")
    return insert(
        tree, _loss_backward, lambda stmt: f"kept_losses.append({_loss(stmt)})", after=True
    ) and not _is_strange(tree)


@fault("graph-kept")
def loss_kept_in_a_dict(tree: ast.Module) -> bool:
    tree.body[:0] = parse("kept_losses = {}")
    return insert(
        tree,
        _loss_backward,
        lambda stmt: f"kept_losses[len(kept_losses)] = {_loss(stmt)}",
        after=True,
    ) and not _is_strange(tree)


@fault("graph-kept")
def loss_summed(tree: ast.Module) -> bool:
    """The sum of the losses keeps the graphs of all."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AugAssign) and ast.unparse(node.value) == "loss.item()":
            node.value = ast.Name("loss", ast.Load())
            return True
    return False


def _is_strange(tree: ast.Module) -> bool:
    """A `from __future__` has to stay on top."""
    return any(
        isinstance(stmt, ast.ImportFrom) and stmt.module == "__future__" for stmt in tree.body
    )


@fault("backward-twice")
def hidden_not_detached(tree: ast.Module) -> bool:
    return remove(tree, calls("repackage_hidden"))


@fault("graph-grows")
def hidden_not_detached_but_retained(tree: ast.Module) -> bool:
    found = remove(tree, calls("repackage_hidden"))
    for body, i in statements(tree, is_backward):
        call = called(body[i])
        assert call is not None
        call.keywords.append(ast.keyword("retain_graph", ast.Constant(True)))
    return found


# What feeds it.


@fault("softmax-twice", "log-missing")
def softmax_first(tree: ast.Module) -> bool:
    text = ast.unparse(tree)
    if "CrossEntropyLoss" not in text and "nll_loss" not in text:
        return False
    return _feed(tree, ("crit", "criterion", "nll_loss"), "softmax(-1)")


@fault("softmax-twice")
def sigmoid_first(tree: ast.Module) -> bool:
    return _feed(tree, ("bce",), "sigmoid()")


@fault("broadcast-loss")
def targets_flat(tree: ast.Module) -> bool:
    if "huber_loss" not in (text := ast.unparse(tree)) and "sin(x)" not in text:
        return False
    return _feed(tree, ("loss_fn", "huber_loss"), "flatten()", argument=1)


def _feed(tree: ast.Module, names: tuple[str, ...], call: str, argument: int = 0) -> bool:
    found = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and len(node.args) == 2:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name in names:
                node.args[argument] = _expression(f"({ast.unparse(node.args[argument])}).{call}")
                found = True
    return found


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


# Whom the optimizer moves, and by how much.


@fault("other-parameters")
def network_copied_after(tree: ast.Module) -> bool:
    found = [
        (body, i, net)
        for body, i, net in optimizers(tree)
        if net.isidentifier() and any(net in ast.unparse(stmt) for stmt in body[i + 1 :])
    ]
    for body, i, net in reversed(found):
        body[i + 1 : i + 1] = parse(f"import copy\n{net} = copy.deepcopy({net})")
    return bool(found)


@fault("no-gradient")
def all_frozen(tree: ast.Module) -> bool:
    found = [one for one in optimizers(tree) if one[2].isidentifier()]
    for body, i, net in reversed(found):
        body[i:i] = parse(f"for _p in {net}.parameters():\n    _p.requires_grad_(False)")
    return bool(found)


@fault("unregistered")
def layers_in_a_list(tree: ast.Module) -> bool:
    found = False
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "nn.ModuleList":
            node.func = ast.Name("list", ast.Load())
            found = True
    return found


@fault("zero-lr")
def learning_rate_0(tree: ast.Module) -> bool:
    return _learning_rate(tree, 0.0)


def _learning_rate(tree: ast.Module, value: float) -> bool:
    if "lr_scheduler.OneCycle" in ast.unparse(tree) or "get_lr" in ast.unparse(tree):
        return False  # it sets the rate itself
    found = False
    for body, i, _ in optimizers(tree):
        call = called(body[i])
        assert call is not None
        for keyword in call.keywords:
            if keyword.arg == "lr":
                keyword.value = ast.Constant(value)
                found = True
    return found


# Modes, accumulation, mixed precision.


@fault("eval-mode")
def eval_instead_of_train(tree: ast.Module) -> bool:
    if not any(name in ast.unparse(tree) for name in ("Dropout(", "BatchNorm")):
        return False
    found = statements(tree, calls("train"))
    for body, i in found:
        call = called(body[i])
        assert call is not None
        assert isinstance(call.func, ast.Attribute | ast.Name)
        if isinstance(call.func, ast.Attribute):
            call.func.attr = "eval"
    return any(".eval()" in ast.unparse(body[i]) for body, i in found)


@fault("evaluation-in-train-mode")
def no_eval(tree: ast.Module) -> bool:
    if not any(name in ast.unparse(tree) for name in ("Dropout(", "BatchNorm")):
        return False
    return remove(tree, calls("eval"))


@fault("accumulation-not-divided")
def not_divided(tree: ast.Module) -> bool:
    text = ast.unparse(tree)
    for node in ast.walk(tree):
        for name, value in ast.iter_fields(node):
            if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Div):
                by = ast.unparse(value.right)
                if by in ("left", "gradient_accumulation_steps") and "backward" in text:
                    setattr(node, name, value.left)
                    return True
    return False


@fault("clip-before-unscale")
def not_unscaled(tree: ast.Module) -> bool:
    return remove(tree, calls("unscale_"))


@fault("step-without-unscale")
def scaler_forgotten(tree: ast.Module) -> bool:
    found = statements(tree, calls("step", of="scaler"))
    for body, i in found:
        call = called(body[i])
        assert call is not None
        body[i] = parse(f"{ast.unparse(call.args[0])}.step()")[0]
    return bool(found) and remove(tree, calls("unscale_"))
