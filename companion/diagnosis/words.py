"""The reader's own words for what took part, so that a cure can be read into his loop."""

from __future__ import annotations

from collections.abc import Sequence

from companion.records.line import LineRecord
from companion.records.statements import argument, called_as, owner

LONGEST = 120  # characters of a line that is shown again


def statement(record: LineRecord | None) -> str | None:
    """A line as written; None where it is long, or spread over several."""
    source = "" if record is None else record.source
    return source if source and "\n" not in source and len(source) <= LONGEST else None


class Words:
    """How the reader writes his networks, optimizers and scaler; told from the lines themselves.

    Attributes:
        scaler: The GradScaler, such as "scaler"; None where no line shows it.
    """

    def __init__(self, records: Sequence[LineRecord]) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._known: set[str] = set()  # names that are variables, for all that was seen
        self.scaler: str | None = None
        seen: set[tuple[str, tuple[object, ...]]] = set()
        for record in records:
            key = record.source, record.events
            if not record.events or (key[0], tuple(map(id, key[1]))) in seen:
                continue
            seen.add((key[0], tuple(map(id, key[1]))))
            self._read(record)

    def _read(self, record: LineRecord) -> None:
        source = record.source
        scaled = any(event.kind == "scaler step" for event in record.events)
        for event in record.events:
            found = None
            if event.kind == "forward":
                found = called_as(source, event.name)
            elif event.kind in ("step", "clear") and not scaled:
                found = owner(source, "step" if event.kind == "step" else "zero_grad")
            elif event.kind in ("scaler step", "unscale"):
                method = "step" if scaled else "unscale_"
                found = argument(source, method)
                self.scaler = self.scaler or owner(source, method)
            elif event.kind == "scale":
                self.scaler = self.scaler or owner(source, "scale")
            if found is None or found == "self":
                continue
            kind = "network" if event.kind == "forward" else "optimizer"
            if found.rpartition(".")[2] == event.name or event.kind != "clear":
                self._names.setdefault((kind, event.name), found)

    def optimizer(self, name: str) -> str | None:
        """An optimizer; None where no line shows how it is written."""
        return self._names.get(("optimizer", name))

    def network(self, name: str) -> str | None:
        """A network; None where no line shows how it is written."""
        return self._names.get(("network", name))

    def lines(self, *records: LineRecord | str | None) -> str | None:
        """Lines of the reader's, in this order; None where one cannot be shown."""
        found = [one if isinstance(one, str) else statement(one) for one in records]
        return None if None in found else "\n".join(dict.fromkeys(map(str, found)))
