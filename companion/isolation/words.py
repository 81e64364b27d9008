"""An exception in words, without running code of its own: its `__str__` may do anything."""

from __future__ import annotations

from types import WrapperDescriptorType

from companion.isolation.objects import own_of, types_of

_arguments = BaseException.__dict__["args"].__get__
_BARE = (str, bytes, int, float, bool, type(None))


def words_of(error: BaseException) -> str:
    """Its type, and its message where Python itself would put that together.

    Example:
        >>> words_of(ValueError("no such layer"))
        'ValueError: no such layer'
        >>> class Loud(Exception):
        ...     def __str__(self):
        ...         print("asked")
        >>> words_of(Loud(3))
        'companion.isolation.words.Loud'
    """
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    if not _is_plain(kind) or not all(type(one) in _BARE for one in _arguments(error)):
        return name
    words = str(error)
    return f"{name}: {words}" if words else name


def _is_plain(kind: type) -> bool:
    """Whether Python itself turns the exceptions of a type into text."""
    for one in types_of(kind):
        found = own_of(one).get("__str__")
        if found is not None:
            return type(found) is WrapperDescriptorType
    return False
