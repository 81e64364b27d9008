"""Lines that do nothing: a result dropped, a network copied to itself, an unknown attribute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.rules.table import PAGE, STEPS, Sighting, at, rule
from companion.records.idle import loaded
from companion.records.line import LineRecord
from companion.records.setting import wanting
from companion.records.statements import uncommented

ORDER = f"{STEPS}#order-around-the-step"


@rule(
    "no-effect",
    why="Python works out what the line says, and throws it away: everything stays as it was.",
    cure="x = x.to(device)  # a tensor's methods give a new one",
    section=f"{PAGE}#no-effect",
)
def no_effect(ledger: Ledger) -> Iterator[Sighting]:
    """A tensor or a context that is made for nobody."""
    for record, event in ledger.of("no effect"):
        how, name, method = event.details["how"], event.name, event.details["method"]
        if record.raised:
            continue
        if how == "unentered":
            yield Sighting(
                record,
                f"{name}() makes a context manager, and no `with` enters it",
                cure=f"with {name}():\n    ...  # the lines that it is meant for",
            )
        elif how == "dropped":
            same = event.details.get("same", False)
            yield Sighting(
                record,
                f"{method} gives a tensor and leaves {name} as it is; nothing takes that tensor"
                + (f", which here is no other than {name}" if same else ""),
                settle=f"whether {name} can ever be another one than it is here" if same else None,
                cure=_taken(uncommented(record.source), name, method),
            )


_ALSO_IN_PLACE = {
    "detach", "clamp", "clip", "squeeze", "unsqueeze", "relu", "sigmoid", "tanh", "masked_fill",
    "add", "sub", "mul", "div", "lerp", "exp", "log", "sqrt", "abs", "nan_to_num",
}  # fmt: skip


def _taken(source: str, name: str, method: str) -> str:
    """The line as it should be: of a parameter or gradient in place, else given a name."""
    whole = source.strip()
    in_place = whole.startswith(name) and (".data." in whole or name.endswith(".grad"))
    if in_place and method in _ALSO_IN_PLACE:
        return whole.replace(f".{method}(", f".{method}_(", 1)
    return f"{name} = {whole}"


@rule(
    "copies-itself",
    why="Source and target are the same tensors, so that nothing is copied.",
    cure="target.load_state_dict(net.state_dict())",
    section=f"{PAGE}#copies-itself",
)
def copies_itself(ledger: Ledger) -> Iterator[Sighting]:
    """A state is loaded that consists of the network's own tensors, or an average is its source."""
    called = dict.fromkeys(event.name for _, event in ledger.of("forward"))
    networks = [ledger.words.network(name) or name for name in called]
    for record, event in ledger.of("loads itself"):
        said = loaded(record.source)
        if said is None or record.raised:
            continue
        owner, given, is_taken_there = said
        observed = (
            f"load_state_dict was given the very tensors that {owner} consists of "
            f"({event.details.get('copies', 0)} of them)"
        )
        if not is_taken_there:
            moved = _moved(ledger, record)
            if moved is not None:
                yield Sighting(
                    record,
                    f"{observed}: what {given} keeps are no copies, and {at(moved)} has moved them",
                    cure=f"{given} = copy.deepcopy({owner}.state_dict())  # where it is taken",
                )
        elif owner == given:
            yield Sighting(
                record,
                f"{observed}: {owner} is loaded into itself",
                cure=_from_another(uncommented(record.source), owner, networks),
            )
        else:
            yield Sighting(
                record,
                f"{observed}: {owner} and {given} are one network",
                cure=f"{owner} = copy.deepcopy({given})  # where {owner} is made",
            )
    yield from _averages(ledger)


def _from_another(source: str, owner: str, networks: list[str]) -> str:
    """The same line, with the state of the network that learns."""
    own, _, name = owner.rpartition(".")
    others = [network for network in networks if network not in (owner, name)]
    if len(others) != 1:
        return f"# the state_dict() of the network that {owner} follows"
    other = f"{own}.{others[0]}" if own == "self" else others[0]
    return source.replace(f"{owner}.state_dict", f"{other}.state_dict")


def _moved(ledger: Ledger, load: LineRecord) -> LineRecord | None:
    """The last optimizer step before; None where a line of the reader's own writes tensors, too.

    It may have written into what is loaded, and then loading it has only come too late.
    """
    last: LineRecord | None = None
    for record in ledger.records[: load.index]:
        kinds = {event.kind for event in record.events}
        if kinds & {"step", "scaler step"}:
            last = record if record.changed_parameters else last
        elif (record.changed_parameters or record.changed_others) and "loads itself" not in kinds:
            return None
    return last


def _averages(ledger: Ledger) -> Iterator[Sighting]:
    """A soft update from a network to itself: source and target are one each time."""
    places: dict[tuple[str, int], str] = {}
    for record, event in ledger.of("into itself"):
        places.setdefault(record.place, event.details["other"])
    for place, other in places.items():
        runs = [record for record in ledger.records if record.place == place]
        if len(runs) > 1 and all(_is_into_itself(record) for record in runs):
            target = next(e.name for e in runs[0].events if e.kind == "into itself")
            yield Sighting(
                runs[0],
                f"all {len(runs)} times that it ran, {target} and {other} were one tensor",
                cure="# two networks: one of them made by copy.deepcopy(...)",
            )


def _is_into_itself(record: LineRecord) -> bool:
    return any(event.kind == "into itself" for event in record.events)


@rule(
    "misnamed",
    why="Python lets anybody set any attribute; torch reads only those that it knows.",
    cure="p.requires_grad = False  # of each parameter; a module has requires_grad_(False)",
    section=f"{PAGE}#misnamed",
)
def misnamed(ledger: Ledger) -> Iterator[Sighting]:
    """An attribute is set that nobody reads, instead of a parameter's `requires_grad`."""
    for record, event in ledger.of("misnamed"):
        details = event.details
        key, value, source = details["key"], details["value"], details.get("source", "")
        on_module = details.get("on_module", False)
        several = details.get("several", 1)
        what = "modules" if on_module else "parameters"
        more = f" ({several} {what} have it so)" if several > 1 else ""
        still = f"its parameters required {'a' if not value else 'no'} gradient all the same"
        if not on_module:
            still = f"its requires_grad was {not value} all the same"
        yield Sighting(
            replace(record, file=details["file"], line=details["line"], source=source),
            f"{event.name} has an attribute {key}, which is {value}{more}; when "
            f"{_stepper(record)} first stepped, {still}",
            cure=_as_meant(source, key, value, on_module),
        )


def _stepper(record: LineRecord) -> str:
    return next((event.name for event in record.events if event.kind == "step"), "an optimizer")


def _as_meant(source: str, key: str, value: bool, on_module: bool) -> str:
    method = on_module or key == "requires_grad_"
    return wanting(source, key, method=method) or f"# requires_grad_({value}) of what it is set on"
