"""`[tool.companion]` of the nearest pyproject.toml that has it, from the script's folder upward."""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

from companion.command.kinds import positive, rules_of


@dataclass(frozen=True)
class Configuration:
    """What a pyproject.toml says.

    Attributes:
        file: The file; None where none says anything.
        options: By the names that the command line's options have in Python.
        per_file: Patterns of files, from its folder, and the rules that are ignored there.
        problem: Why it was not read; a sentence.
    """

    file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    per_file: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problem: str | None = None

    def ignores(self, rule: str, file: str) -> bool:
        """Whether a rule is ignored in a file."""
        if self.file is None or not self.per_file:
            return False
        path = Path(file)
        try:
            name = path.relative_to(self.file.parent).as_posix()
        except ValueError:
            return False
        return any(
            rule in rules and (fnmatch(name, pattern) or fnmatch(path.name, pattern))
            for pattern, rules in self.per_file.items()
        )


def configured(folder: Path) -> Configuration:
    """What counts for a script in this folder.

    Raises:
        ValueError: If a setting is wrong; the message names the file and the cure.
    """
    for place in (folder, *folder.parents):
        file = place / "pyproject.toml"
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if "companion" not in text:
            continue
        reader = _reader()
        if reader is None:
            return Configuration(
                problem=f"{file} is not read: Python 3.10 has no reader of TOML; "
                "python -m pip install tomli, or give the options to the command"
            )
        try:
            said = reader.loads(text).get("tool", {}).get("companion")
        except ValueError as error:
            raise ValueError(f"{file} is no valid TOML: {error}") from None
        if said is not None:
            return _read(file, said)
    return Configuration()


def _reader() -> ModuleType | None:
    """Python's own from 3.11 on; before, what reads the same, where it is installed."""
    for name in "tomllib", "tomli":
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    return None


def _read(file: Path, said: Any) -> Configuration:
    if not isinstance(said, dict):
        raise ValueError(f"{file}: tool.companion must be a table: [tool.companion]")
    options: dict[str, Any] = {}
    per_file: dict[str, tuple[str, ...]] = {}
    for key, value in said.items():
        try:
            if key == "per-file-ignores":
                per_file = {pattern: _rules(rules) for pattern, rules in dict(value).items()}
            elif key in _KINDS:
                options[key.replace("-", "_")] = _KINDS[key](value)
            else:
                alike = difflib.get_close_matches(key, [*_KINDS, "per-file-ignores"], n=1)
                hint = f"; did you mean {alike[0]}?" if alike else ""
                raise ValueError(f"no setting is called so{hint}")
        except (ValueError, TypeError, argparse.ArgumentTypeError) as error:
            raise ValueError(f"{file}: tool.companion.{key}: {error}") from None
    return Configuration(file, options, per_file)


def _number(value: Any) -> int:
    return positive(str(value) if type(value) is int else repr(value))


def _truth(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _rules(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError(f'must be a list of rules, such as ["accumulates"], not {value!r}')
    return rules_of(",".join(value)) if value else ()


def _failing(value: Any) -> str:
    if value not in ("certain", "possible", "never"):
        raise ValueError(f'must be "certain", "possible" or "never", not {value!r}')
    return str(value)


_KINDS: dict[str, Callable[[Any], Any]] = {
    "steps": _number,
    "every": _number,
    "guard": _truth,
    "select": _rules,
    "ignore": _rules,
    "fail-on": _failing,
}
