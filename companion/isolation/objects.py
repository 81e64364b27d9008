"""What an object is and holds, told without asking it: a stranger's attribute may run code.

`isinstance` asks an object for its `__class__`, `getattr` and `vars` ask it for anything: a weak
proxy whose object is gone raises, a lazy object makes the real one, a mock says yes to all.
"""

from __future__ import annotations

from types import GetSetDescriptorType
from typing import Any, TypeGuard, TypeVar

T = TypeVar("T")

# A metaclass may answer otherwise.
types_of = type.__dict__["__mro__"].__get__
own_of = type.__dict__["__dict__"].__get__


def is_a(value: object, kind: type[T]) -> TypeGuard[T]:
    """Whether an object is of a kind by its type; what it says of its `__class__` is not asked.

    Example:
        >>> import weakref
        >>> from companion import Net
        >>> net = Net()
        >>> proxy = weakref.proxy(net)
        >>> isinstance(proxy, Net), is_a(proxy, Net), is_a(net, Net)
        (True, False, True)
    """
    return issubclass(type(value), kind)


def attributes(one: object) -> dict[str, Any]:
    """What an object itself holds, by name; empty where only its own code could tell.

    Example:
        >>> class Loud:
        ...     def __init__(self):
        ...         self.x = 1
        ...     def __getattribute__(self, name):
        ...         raise RuntimeError("asked for " + name)
        >>> attributes(Loud()), attributes(3)
        ({'x': 1}, {})
    """
    for kind in types_of(type(one)):
        found = own_of(kind).get("__dict__")
        if found is not None:  # a property of that name is the object's own code
            inside = found.__get__(one) if type(found) is GetSetDescriptorType else None
            return inside if type(inside) is dict else {}
    return {}
