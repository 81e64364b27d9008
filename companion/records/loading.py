"""A trace from a JSON file, checked field by field: nothing in it is trusted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from companion.records.kinds import KINDS, Type
from companion.records.line import Event, LineRecord, State
from companion.records.reading import Reading
from companion.records.saving import FORMAT, VERSION

_MOST = 10_000
_LARGEST = 2**63 - 1  # of a count; Python itself refuses to print one of 5000 digits
_DEEPEST = 20  # levels of tuples in an event's details; a real one has two
_AXES = 64  # of a tensor; as many as torch allows
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def load(path: str | os.PathLike[str]) -> tuple[str, list[LineRecord]]:
    """Read what `save` wrote: the network's name and the records."""
    raw = Path(path).read_bytes()
    try:
        whole = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)} is no saved trace: it is not JSON ({error})") from None
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ValueError(f"{os.fspath(path)} is no saved trace; routine.save(path) writes one")
    version = whole.get("version")
    if version != VERSION:
        shown = repr(version)[:40] if isinstance(version, (int, str)) else type(version).__name__
        raise ValueError(
            f"{os.fspath(path)} is a trace of version {shown}; this release of training-routine "
            f"reads version {VERSION}"
        )
    try:
        network = _text(whole["network"])
        states = [_state_in(state) for state in _list(whole["states"])]
        records = [_record(i, one, states) for i, one in enumerate(_list(whole["records"]))]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        words = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{os.fspath(path)} is a damaged trace: {words:.200}") from None
    return network, records


# Reading: nothing is trusted.


def _of(kind: type | tuple[type, ...], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is int):
            raise TypeError(f"{what} expected, not {value!r:.40}")
        return value

    return check


_text, _list, _dict = _of(str, "a text"), _of(list, "a list"), _of(dict, "an object")
_int, _bool = _of(int, "a whole number"), _of(bool, "true or false")


def _count(value: Any) -> int:
    number: int = _int(value)
    if number < 0:
        raise ValueError(f"a number of 0 or more expected, not {value!r:.40}")
    if number > _LARGEST:
        raise ValueError(f"a number of at most {_LARGEST} expected, not {value!r:.40}")
    return number


def _small(value: Any) -> int:
    """A count of columns or calls: text is drawn by it."""
    number = _count(value)
    if number > _MOST:
        raise ValueError(f"a number of at most {_MOST} expected, not {value!r:.40}")
    return number


def _float(value: Any) -> float:
    if isinstance(value, str) and value in _SPECIAL:
        return _SPECIAL[value]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a number expected, not {value!r:.40}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError("a number is too large") from None


def _reading_in(value: Any) -> Reading | None:
    if value is None:
        return None
    total, norm, nonfinite = _list(value)
    if isinstance(total, list):
        real, imaginary = total
        return Reading(complex(_float(real), _float(imaginary)), _float(norm), _count(nonfinite))
    return Reading(_float(total), _float(norm), _count(nonfinite))


def _state_in(value: Any) -> State:
    _dict(value)
    scale = value["scale"]
    return State(
        {name: _reading_in(r) for name, r in _dict(value["gradients"]).items()},
        {name: _reading_in(r) for name, r in _dict(value["parameters"]).items()},
        {name: _bool(flag) for name, flag in _dict(value["requires_grad"]).items()},
        {name: _bool(flag) for name, flag in _dict(value["training"]).items()},
        {
            name: tuple(_float(rate) for rate in _list(rates))
            for name, rates in _dict(value["learning_rates"]).items()
        },
        None if scale is None else _float(scale),
    )


def _event(value: Any) -> Event:
    kind, name, details = _list(value)
    if _text(kind) in KINDS:
        for key, one in KINDS[kind].details.items():
            if one.needed:
                _dict(details)[key]
    return Event(kind, _text(name), {k: _detail(k, v) for k, v in _dict(details).items()})


def _detail(name: str, value: Any) -> Any:
    kind = _DETAILS.get(name)
    return _tuple(value) if kind is None else _CHECKS[kind](value)


def _tuple(value: Any, deeper: int = _DEEPEST) -> Any:
    """Details that this release does not know: lists as tuples."""
    if not deeper:
        raise ValueError(f"an event's details are nested more than {_DEEPEST} levels deep")
    if isinstance(value, list):
        return tuple(_tuple(one, deeper - 1) for one in value)
    if isinstance(value, dict):
        return {name: _tuple(one, deeper - 1) for name, one in value.items()}
    return value


def _shape(value: Any) -> tuple[int, ...]:
    if len(_list(value)) > _AXES:
        raise ValueError(f"a shape of at most {_AXES} numbers expected, not of {len(value)}")
    return tuple(map(_count, value))


def _three(value: Any) -> tuple[int, int, int]:
    one, two, three = map(_count, _list(value))
    return one, two, three


def _all(check: Callable[[Any], Any]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple(map(check, _list(value)))


def _or_none(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


_CHECKS: dict[Type, Callable[[Any], Any]] = {
    "text": _text,
    "text?": _or_none(_text),
    "texts": _all(_text),
    "flag": _bool,
    "count": _count,
    "count?": _or_none(_count),
    "counts?": _or_none(_three),
    "shape": _shape,
}
# By name alone: what is of a kind's own is checked also where a file has it in another kind.
_DETAILS = {name: one.type for kind in KINDS.values() for name, one in kind.details.items()}


def _record(index: int, value: Any, states: Sequence[State]) -> LineRecord:
    _dict(value)
    raised = value["raised"]
    return LineRecord(
        index=index,
        file=_text(value["file"]),
        line=_count(value["line"]),
        source=_text(value["source"]),
        indent=_small(value["indent"]),
        before=states[_count(value["before"])],
        after=states[_count(value["after"])],
        changed_gradients=tuple(map(_text, _list(value["changed_gradients"]))),
        changed_parameters=tuple(map(_text, _list(value["changed_parameters"]))),
        raised=None if raised is None else _text(raised),
        events=tuple(map(_event, _list(value["events"]))),
        function=_text(value["function"]),
        depth=_small(value["depth"]),
        step=_count(value["step"]),
    )
