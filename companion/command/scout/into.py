"""Which code `--into NAME` names: a function, a class or a module of a library."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FunctionType, ModuleType

from companion.isolation.objects import own_of, types_of


class Into:
    """The code of what is named, once the script has imported it.

    Args:
        names: Such as "transformers.Trainer" or "ignite.engine.Engine.run".

    Attributes:
        missing: The names of which nothing was found.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._names = names
        self._codes: dict[int, CodeType] = {}
        self._files: set[str] = set()
        self.missing: list[str] = []

    def look_up(self) -> None:
        """Find what is named among what is imported by now."""
        self.missing = []
        for name in self._names:
            found = _find(name)
            if isinstance(found, ModuleType):
                self._files.add(str(vars(found).get("__file__")))
            codes = list(_codes_of(found))
            self._codes.update((id(code), code) for code in codes)
            if not codes and not isinstance(found, ModuleType):
                self.missing.append(name)

    def say_missing(self, note: Callable[[str], None]) -> None:
        """Note each name of which nothing was found."""
        for name in self.missing:
            note(f"--into {name}: nothing of that name was imported")

    def __contains__(self, code: CodeType) -> bool:
        return id(code) in self._codes or (
            code.co_filename in self._files and not code.co_name.startswith("<")
        )


def _find(name: str) -> object:
    """What has this name, or None; a class also where its package has it somewhere inside."""
    parts = name.split(".")
    for i in range(len(parts), 0, -1):
        module = sys.modules.get(".".join(parts[:i]))
        if module is None:
            continue
        inside = [other for key, other in sys.modules.items() if key.startswith(f"{parts[0]}.")]
        for one in [module, *inside]:
            found: object = one
            for part in parts[i:]:
                found = _held(found, part)
            if found is not None:
                return found
    return None


def _held(one: object, name: str) -> object:
    """What a module or a class has under a name, told without running code of theirs."""
    if isinstance(one, ModuleType):
        return dict.get(vars(one), name)
    if isinstance(one, type):
        return next((own_of(kind)[name] for kind in types_of(one) if name in own_of(kind)), None)
    return None


def _codes_of(one: object) -> Iterator[CodeType]:
    """The code of a function, or of all functions of a class, and of what is written in them."""
    if isinstance(one, (staticmethod, classmethod)):
        one = one.__func__
    if isinstance(one, type):
        package = one.__module__.partition(".")[0]
        for kind in types_of(one):
            if kind.__module__.partition(".")[0] == package:
                for held in own_of(kind).values():
                    if not isinstance(held, type):
                        yield from _codes_of(held)
    elif isinstance(one, FunctionType):
        yield from _inside(inspect.unwrap(one).__code__)


def _inside(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType) and not one.co_name.startswith("<"):
            yield from _inside(one)
