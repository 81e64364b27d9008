"""A trace from a JSON file, checked field by field: nothing in it is trusted."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from companion.records.kinds import KINDS, Type
from companion.records.line import Event, LineRecord, State
from companion.records.phase import Phase
from companion.records.reading import Reading
from companion.records.saving import FORMAT, VERSION
from companion.records.uncollected import uncollected
from companion.records.value import Value

_MOST = 10_000
_LARGEST = 2**63 - 1  # of a count; Python itself refuses to print one of 5000 digits
_DEEPEST = 20  # levels of tuples in an event's details; a real one has two
_AXES = 64  # of a tensor; as many as torch allows
_SPECIAL = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


def load(path: str | os.PathLike[str]) -> tuple[str, list[LineRecord]]:
    """Read what `save` wrote: the network's name and the records."""
    with uncollected():
        return _load(path)


def _load(path: str | os.PathLike[str]) -> tuple[str, list[LineRecord]]:
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
        shared = _Shared()
        states = [_state_in(state, shared) for state in _list(whole["states"])]
        records = [_record(i, one, states, shared) for i, one in enumerate(_list(whole["records"]))]
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


class _Shared:
    """What was the same the last time is the same object: most lines leave most as it was."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[Any, Any]] = {}

    def of(self, key: str, raw: Any, build: Callable[[Any], Any]) -> Any:
        last = self._last.get(key)
        if last is not None and last[0] == raw:  # 1 may stand for true then, and is loaded as true
            return last[1]
        built = build(raw)
        self._last[key] = raw, built
        return built


def _state_in(value: Any, shared: _Shared) -> State:
    _dict(value)
    scale = value["scale"]
    return State(
        shared.of("gradients", value["gradients"], _readings_in),
        shared.of("parameters", value["parameters"], _readings_in),
        shared.of("requires_grad", value["requires_grad"], _flags_in),
        shared.of("training", value["training"], _flags_in),
        shared.of("learning_rates", value["learning_rates"], _rates_in),
        None if scale is None else _float(scale),
        # Older files have none.
        shared.of("buffers", value.get("buffers", {}), _readings_in),
        shared.of("others", value.get("others", {}), _readings_in),
    )


def _readings_in(value: Any) -> Mapping[str, Reading | None]:
    return MappingProxyType({name: _reading_in(r) for name, r in _dict(value).items()})


def _flags_in(value: Any) -> Mapping[str, bool]:
    return MappingProxyType({name: _bool(flag) for name, flag in _dict(value).items()})


def _rates_in(value: Any) -> Mapping[str, tuple[float, ...]]:
    return MappingProxyType(
        {name: tuple(map(_float, _list(rates))) for name, rates in _dict(value).items()}
    )


def _value_in(value: Any) -> Value:
    name, dtype, shape, number, nonfinite, graph, unreached = _list(value)
    return Value(
        _text(name),
        _text(dtype),
        _or_none(_shape)(shape),
        _or_none(_float)(number),
        _or_none(_count)(nonfinite),
        _bool(graph),
        _or_none(_all(_text))(unreached),
    )


def _phase(value: Any) -> Phase:
    library, function, loss = _list(value)
    return Phase(_text(library), _text(function), _or_none(_float)(loss))


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


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, _list(value)))


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
    "counts": _all(_count),
    "counts?": _or_none(_three),
    "shape": _shape,
    "shape?": _or_none(_shape),
}
# By name alone: what is of a kind's own is checked also where a file has it in another kind.
_DETAILS = {name: one.type for kind in KINDS.values() for name, one in kind.details.items()}


def _record(index: int, value: Any, states: Sequence[State], shared: _Shared) -> LineRecord:
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
        changed_gradients=shared.of("names", value["changed_gradients"], _texts),
        changed_parameters=shared.of("names", value["changed_parameters"], _texts),
        raised=None if raised is None else _text(raised),
        events=tuple(shared.of(f"event {one[:1]}", one, _event) for one in _list(value["events"])),
        function=_text(value["function"]),
        depth=_small(value["depth"]),
        step=_count(value["step"]),
        values=tuple(map(_value_in, _list(value.get("values", [])))),
        changed_buffers=shared.of("names", value.get("changed_buffers", []), _texts),
        changed_others=shared.of("names", value.get("changed_others", []), _texts),
        again=_bool(value.get("again", False)),
        phase=_or_none(_phase)(value.get("phase")),
    )
