"""A statement that sets an attribute, as it sets `requires_grad` instead."""

from __future__ import annotations

import ast
from functools import lru_cache

from companion.records.parse import tree_of, unparsed


@lru_cache(maxsize=4096)
def wanting(text: str, key: str, *, method: bool) -> str | None:
    """The same for `requires_grad`, by the method or by the attribute; None for another statement.

    Example:
        >>> wanting("net.fc.requires_grad = train", "requires_grad", method=True)
        'net.fc.requires_grad_(train)'
        >>> wanting("setattr(p, 'require_grad', False)", "require_grad", method=False)
        'p.requires_grad = False'
    """
    body = getattr(tree_of(text), "body", [])
    node = body[0] if len(body) == 1 else None
    owners: list[ast.expr] = []
    value: ast.expr | None = None
    if isinstance(node, ast.Assign):
        named = [one for one in node.targets if isinstance(one, ast.Attribute) and one.attr == key]
        owners = [one.value for one in named] if len(named) == len(node.targets) else []
        value = node.value
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        call = node.value
        if isinstance(call.func, ast.Name) and call.func.id == "setattr" and len(call.args) == 3:
            owners, value = call.args[:1], call.args[2]
    if value is None or not owners:
        return None
    given, names = unparsed(value), [unparsed(one) for one in owners]
    form = "{}.requires_grad_({})" if method else "{}.requires_grad = {}"
    return "\n".join(form.format(name, given) for name in names)
