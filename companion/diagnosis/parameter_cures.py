"""Cures around parameters and modes, in the reader's own words; None where they are not known."""

from __future__ import annotations

import re
from collections.abc import Sequence

from companion.diagnosis.ledger import Ledger
from companion.diagnosis.words import statement
from companion.records.line import LineRecord
from companion.records.statements import subtracting
from companion.records.syntax import read_grads

# Where a hidden parameter is: "encoder.blocks[0].weight", "scales['a']".
_HIDDEN = re.compile(r"(?:.*\.)?(\w+)((?:\[[^\]]*\])+)(\..*)?")


def registered(hidden: Sequence[str]) -> str:
    """A container that registers what a plain one hides."""
    return _registered(hidden) or "# nn.ModuleList, ModuleDict or ParameterList in place of these"


def _registered(hidden: Sequence[str]) -> str | None:
    found = {_HIDDEN.fullmatch(path) for path in hidden}
    forms = {(m[1], tuple(_kinds(m[2])), m[3] is None) for m in found if m is not None}
    if None in found or len({name for name, _, _ in forms}) != 1 or len(forms) != 1:
        return None
    name, kinds, are_parameters = forms.pop()
    what = "Parameter" if are_parameters else "Module"
    if kinds in (("List",), ("Dict",)):
        return f"self.{name} = nn.{what}{kinds[0]}(self.{name})"
    if kinds == ("List", "List"):
        inner = f"nn.{what}List(one) for one in self.{name}"
        return f"self.{name} = nn.ModuleList({inner})"
    return None


def _kinds(keys: str) -> list[str]:
    return ["Dict" if key[0] in "'\"" else "List" for key in re.findall(r"\[([^\]]+)\]", keys)]


def in_place(record: LineRecord) -> str | None:
    """The same update, in place."""
    update = subtracting(record.source)
    return None if update is None else f"with torch.no_grad():\n    {update}  # in place"


def without_gradients(ledger: Ledger) -> str | None:
    """None for the gradients of all that is frozen."""
    names = {event.name for _, event in ledger.of("forward")}
    network = ledger.words.network(next(iter(names))) if len(names) == 1 else None
    if network is None:
        return None
    return (
        f"for p in {network}.parameters():\n    if not p.requires_grad:\n"
        "        p.grad = None  # None is skipped by step(), 0 is not"
    )


def if_there(record: LineRecord) -> str | None:
    """The same line, where there is a gradient."""
    names, source = read_grads(record.source), statement(record)
    if source is None or source.endswith(":"):
        return None
    if len(names) != 1:
        return f"{source}  # after backward(), where there is a gradient"
    return f"if {names[0]}.grad is not None:\n    {source}"


def trained(ledger: Ledger, name: str) -> str | None:
    """Training mode for a network."""
    network = ledger.words.network(name)
    return None if network is None else f"{network}.train()  # at the start of every training epoch"


def evaluated(ledger: Ledger, name: str, record: LineRecord) -> str | None:
    """Evaluation mode around a line."""
    network, source = ledger.words.network(name), statement(record)
    if network is None or source is None or source.endswith(":"):
        return None
    return f"{network}.eval()\n{source}\n{network}.train()"
