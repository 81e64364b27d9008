"""The reader's own words for what took part, so that a cure can be read into his loop."""

from __future__ import annotations

from collections.abc import Sequence

from companion.records.line import LineRecord
from companion.records.statements import argument, called_as, is_handed, owner, uncommented

LONGEST = 120  # characters of a line that is shown again


def statement(record: LineRecord | None) -> str | None:
    """A line as written, without its comment; None where it is long, or several lines."""
    source = "" if record is None else uncommented(record.source)
    return source if source and "\n" not in source and len(source) <= LONGEST else None


class Words:
    """How the reader writes his networks, optimizers and scaler; told from the lines themselves.

    Attributes:
        scaler: The GradScaler, such as "scaler"; None where no line shows it.
    """

    def __init__(self, records: Sequence[LineRecord]) -> None:
        self._records = records
        self._names: dict[tuple[str, str], str] = {}
        self.scaler: str | None = None
        seen: set[tuple[str, tuple[int, ...]]] = set()
        for record in records:
            key = record.source, tuple(map(id, record.events))
            if record.events and key not in seen:
                seen.add(key)
                self._read(record)

    def _read(self, record: LineRecord) -> None:
        source = record.source
        scaled = any(event.kind == "scaler step" for event in record.events)
        for event in record.events:
            found = None
            if event.kind == "forward":
                found = called_as(source, event.name)
            elif event.kind == "step" and not scaled:
                found = owner(source, "step")
            elif event.kind in ("step", "scaler step", "unscale"):
                method = "unscale_" if event.kind == "unscale" and not scaled else "step"
                found = argument(source, method)
                self.scaler = self.scaler or owner(source, method)
            elif event.kind == "clear":
                found = owner(source, "zero_grad")
                found = found if found and found.rpartition(".")[2] == event.name else None
            elif event.kind == "scale":
                self.scaler = self.scaler or owner(source, "scale")
            if found is not None and found != "self":
                kind = "network" if event.kind == "forward" else "optimizer"
                self._names.setdefault((kind, event.name), found)

    def optimizer(self, name: str) -> str | None:
        """An optimizer; None where no line shows how it is written."""
        return self._names.get(("optimizer", name))

    def network(self, name: str) -> str | None:
        """A network; None where no line shows how it is written."""
        return self._names.get(("network", name))

    def stepping(self, name: str) -> str:
        """Who stepped: an optimizer, or a line of the reader's own."""
        return self.optimizer(name) or name or "a line of yours"

    def caller(self, record: LineRecord) -> LineRecord | None:
        """The line that has called the function a line stands in."""
        above = (self._records[i] for i in range(record.index - 1, -1, -1))
        return next((one for one in above if one.depth < record.depth), None)

    def closure(self, record: LineRecord) -> tuple[str, LineRecord] | None:
        """The closure that a line stands in, and the line that hands it to an optimizer's step."""
        caller = self.caller(record) if record.depth else None
        name = record.function.rpartition(".")[2]
        if name == "closure" and caller is not None:
            return name, caller  # a step of the reader's own may call it: SAM's
        if caller is None or not name or not is_handed(caller.source, name):
            return None
        return None if owner(caller.source, "step") is None else (name, caller)

    def lines(self, *records: LineRecord | str | None) -> str | None:
        """Lines of the reader's, in this order; None where one cannot be shown."""
        found = [one if isinstance(one, str) else statement(one) for one in records]
        return None if None in found else "\n".join(dict.fromkeys(map(str, found)))
