"""Objects that count, raise or lie when they are looked at: how to make one, and its class."""

from __future__ import annotations

COUNTING = """
class {name}:
    def {method}(self, *args, **kwargs):
        count("{method}")
        return {value}
"""
RAISING = """
class {name}:
    def {method}(self, *args, **kwargs):
        count("{method}")
        raise {error}("{method}")
"""
# Expression that makes one → the text of its class.
OBJECTS: dict[str, tuple[str, str]] = {
    "a dead proxy": (
        "weakref.proxy(Gone())",
        """
class Gone:
    pass
""",
    ),
    "a dead proxy of a function": ("weakref.proxy(lambda: 0)", ""),
    "a lazy object": (
        "Lazy()",
        """
class Lazy:
    @property
    def __class__(self):
        count("lazy made")
        return dict
""",
    ),
    "a lazy tensor": (
        "LazyTensor()",
        """
class LazyTensor:
    @property
    def __class__(self):
        count("lazy tensor made")
        return torch.Tensor
""",
    ),
    "a __class__ that raises": (
        "Classless()",
        """
class Classless:
    @property
    def __class__(self):
        raise OSError("no class")
""",
    ),
    "no attributes at all": (
        "Closed()",
        """
class Closed:
    def __getattribute__(self, name):
        count("getattribute " + name)
        raise RuntimeError("no " + name)
""",
    ),
    "attributes that exit": (
        "Exiting()",
        """
class Exiting:
    def __getattribute__(self, name):
        count("exit asked")
        raise SystemExit(5)
""",
    ),
    "every attribute": (
        "Mock()",
        """
class Mock:
    def __getattr__(self, name):
        count("mock " + name)
        return Mock()
    def __call__(self, *args, **kwargs):
        count("mock called")
        return Mock()
""",
    ),
    "a __dict__ that counts": (
        "Dictless()",
        """
class Dictless:
    @property
    def __dict__(self):
        count("__dict__")
        return {1: 2}
""",
    ),
    "keys that are no texts": (
        "keyed()",
        """
def keyed():
    one = Holder()
    one.__dict__[3] = one.__dict__[None] = one
    return one
""",
    ),
    "a list in itself": (
        "circle()",
        """
def circle():
    one = []
    one.append(one)
    return one
""",
    ),
    "a dict in itself": (
        "loop()",
        """
def loop():
    one = {}
    one['it'] = one
    return one
""",
    ),
    "a list that counts": (
        "Hands()",
        """
class Hands(list):
    def __iter__(self):
        count("hands iterated")
        return super().__iter__()
    def __len__(self):
        count("hands len")
        return 1
    def __bool__(self):
        count("hands bool")
        return True
    def __getitem__(self, i):
        count("hands item")
        raise IndexError("nothing")
""",
    ),
    "an array-like": (
        "Array()",
        """
class Array:
    def __array__(self, *args):
        count("__array__")
        raise TypeError("not now")
    def __torch_function__(self, *args):
        count("__torch_function__")
        return NotImplemented
""",
    ),
    "a tensor without a graph that raises": (
        "Sealed(torch.ones(2))",
        """
class Sealed(torch.Tensor):
    @staticmethod
    def __new__(cls, data):
        return torch.Tensor._make_subclass(cls, data)
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        count("sealed " + getattr(function, "__name__", "?"))
        raise RuntimeError("sealed")
""",
    ),
    **{
        f"{method} counts": (
            f"{name}()",
            COUNTING.format(name=name, method=method, value=value),
        )
        for name, method, value in (
            ("Equal", "__eq__", "True"),
            ("Truthy", "__bool__", "False"),
            ("Sized", "__len__", "0"),
            ("Hashed", "__hash__", "1"),
            ("Iterated", "__iter__", "iter(())"),
            ("Shown", "__repr__", "'shown'"),
            ("Called", "__call__", "None"),
            ("Items", "__getitem__", "None"),
            ("Numbered", "__float__", "1.0"),
        )
    },
    **{
        f"{method} raises {error}": (
            f"{name}()",
            RAISING.format(name=name, method=method, error=error),
        )
        for name, method, error in (
            ("BadEqual", "__eq__", "ValueError"),
            ("BadBool", "__bool__", "RuntimeError"),
            ("BadLen", "__len__", "KeyboardInterrupt"),
            ("BadHash", "__hash__", "TypeError"),
            ("BadIter", "__iter__", "OSError"),
            ("BadRepr", "__repr__", "AttributeError"),
            ("BadDir", "__dir__", "RecursionError"),
        )
    },
}
