"""The reader's own expressions for what a trace knows by a short name: "self.opt" for "opt"."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable

from companion.diagnosis.ledger import Ledger


def as_written(ledger: Ledger, name: str) -> str | None:
    """How the watched lines write a variable or attribute; None where none of them does.

    Where some write it bare and others behind something, "opt" and "self.opt", it is bare.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        return None
    whole = re.compile(rf"(?<![\w.\]\)\"'])((?:[A-Za-z_]\w*\.)*{name})(?!\w)(?!\s*=[^=])")
    found = {match for record in ledger.records for match in whole.findall(record.source)}
    return min(found, key=len) if found else None


def parameter(ledger: Ledger, name: str) -> str | None:
    """An expression for a parameter: "net.head.weight", 'net.get_parameter("0.weight")'."""
    owner, inner = _owner(ledger, name)
    if owner is None or not inner:
        return owner
    parts = inner.split(".")
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in parts):
        return f"{owner}.{inner}"
    return f'{owner}.get_parameter("{inner}")'


def _owner(ledger: Ledger, name: str) -> tuple[str | None, str]:
    """An expression for the network that has a parameter, and the name that it has there."""
    network, _, inner = name.partition(".")
    watched = any(name in record.after.parameters for record in ledger.records[-1:])
    networks = {event.name for _, event in ledger.of("forward")}
    if watched and network not in networks:  # the only network's name is left out
        if len(networks) != 1:
            return None, inner
        network, inner = networks.pop(), name
    return as_written(ledger, network), inner


def _optimizer(ledger: Ledger, name: str) -> str | None:
    return ledger.words.optimizer(name) or as_written(ledger, name)


def added(ledger: Ledger, optimizer: str, names: tuple[str, ...]) -> str | None:
    """Code that gives an optimizer more parameters; None where some name is not the reader's."""
    own = _optimizer(ledger, optimizer)
    parts = [parameter(ledger, name) for name in names[:4]]
    if own is None or None in parts or not parts:
        return None
    more = ", ..." if len(names) > len(parts) else ""
    return f'{own}.add_param_group({{"params": [{", ".join(map(str, parts))}{more}]}})'


def built_anew(ledger: Ledger, optimizer: str, built: str | None, names: tuple[str, ...]) -> str:
    """Code that builds an optimizer, as it was, from the networks of these parameters."""
    own = _optimizer(ledger, optimizer)
    networks = dict.fromkeys(_owner(ledger, name)[0] for name in names)
    whole = own is not None and built is not None and "..." in built and None not in networks
    if not whole or not networks or not _are_all(ledger, networks, names):
        return f"# {own or 'the optimizer'} built anew, once the network in use is there"
    assert built is not None
    given = [f"{network}.parameters()" for network in networks]
    every = given[0] if len(given) == 1 else f"[{', '.join('*' + one for one in given)}]"
    return f"{own} = {built.replace('...', every, 1)}  # once the network in use is there"


def _are_all(ledger: Ledger, networks: Iterable[str | None], names: tuple[str, ...]) -> bool:
    """Whether these are all parameters of their networks that require a gradient."""
    wanted = ledger.records[-1].after.requires_grad
    every = {name for name, is_wanted in wanted.items() if is_wanted} - {*names}
    return {_owner(ledger, name)[0] for name in every}.isdisjoint(networks)
