"""What may have gone wrong where a script trained nothing, or got an option that is ours."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Sequence
from types import ModuleType

from companion.isolation.libraries import is_in_library
from companion.isolation.objects import is_a, own_of
from companion.isolation.words import words_of
from companion.records.line import LineRecord
from companion.records.times import times
from companion.records.visible import visible
from companion.tracing.code.source import lines_of


def no_training(error: BaseException | None, backwards: int) -> str:
    """Why nothing was watched; `error` is what ended the script."""
    if backwards:
        return (
            f"no training was watched: backward() ran {times(backwards)}, and no network was "
            "found whose parameters it could reach"
        )
    ended = _early(error)
    if ended is not None:
        return ended
    return (
        "no training loop ran in this process: no step was seen, for nothing called backward(), "
        "nor an optimizer's step(), for a network"
    )


def no_step(records: Iterable[LineRecord], *, stepped: bool) -> str:
    """That no step is in what was watched: a training that was not seen is not called sound.

    Args:
        records: What was watched.
        stepped: Whether an optimizer has stepped, on other lines.
    """
    kinds = [event.kind for record in records for event in record.events]
    backward = kinds.count("backward")
    what = f"backward() was called {times(backward)}" if backward else "nothing called backward()"
    if "scaler step" in kinds:
        skipped = times(kinds.count("scaler step"))
        what += f", a GradScaler was to step {skipped}, and no optimizer's step() came of it"
    elif stepped:
        what += ", and the steps that were made are on none of these lines"
    else:
        what += ", and an optimizer's step() never" if backward else ", nor an optimizer's step()"
    return f"no step was seen: {what}"


def _early(error: BaseException | None) -> str | None:
    """That the script failed before it trained anything; None where it did not."""
    if error is None:
        return None
    python = visible(sys.executable)
    if isinstance(error, SystemExit):
        code = error.args[0] if error.args else None
        if type(code) is str and code.startswith(f"{sys.executable}: "):  # so says `python -m`
            return (
                "there is no such module to run, so nothing ran: go to the folder that holds it, "
                f"or take the Python that has it (this is {python})"
            )
        if type(code) is int and code:
            return f"the script ended before any training, with exit code {code}"
        return "the script ended before any training, with these words" if code else None
    what = f"the script ended before any training: {visible(words_of(error))}"
    if isinstance(error, ModuleNotFoundError):
        return f"{what}; install it for {python}, or run companion by the Python that has it"
    return what


def misplaced(arguments: Sequence[str], options: Iterable[str], script: str) -> list[str]:
    """A hint for each option of ours among the script's arguments that its code never names.

    Args:
        arguments: The script's.
        options: The names of ours.
        script: The script, when it has run.
    """
    ours = set(options)
    found = [word.partition("=")[0] for word in arguments if word.partition("=")[0] in ours]
    if not found:
        return []
    code = "".join("".join(lines_of(file)) for file in _own_files(script))
    return [
        f"{option} stands behind the script's name, so the script got it; companion's own options "
        "stand before that name"
        for option in dict.fromkeys(found)
        if not re.search(rf"\b{option.strip('-').replace('-', '[-_]')}\b", code)
    ]


def _own_files(script: str) -> list[str]:
    """The script's file, and those of its modules that are in no library."""
    files = [os.path.abspath(script)]
    for module in [*sys.modules.values()]:
        file = _names_in(module).get("__file__") if is_a(module, ModuleType) else None
        if type(file) is str and not is_in_library(file):
            files.append(file)
    return files


_names_in = own_of(ModuleType)["__dict__"].__get__  # a lazy module would import, if asked
