"""The table of rules, and what a rule is."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from companion.ledger import Ledger
from companion.probes import combine
from companion.records import LineRecord


@dataclass(frozen=True)
class Sighting:
    """One record that a rule objects to.

    Attributes:
        record: The line to blame.
        observed: What was seen, with numbers.
        settle: What would settle it, where the rule cannot be sure.
    """

    record: LineRecord
    observed: str
    settle: str | None = None


See = Callable[[Ledger], Iterator[Sighting]]


@dataclass(frozen=True)
class Rule:
    """A rule's name and constant texts, and the function that looks."""

    name: str
    why: str
    cure: str
    section: str
    see: See


TABLE: list[Rule] = []


def rule(name: str, *, why: str, cure: str, section: str) -> Callable[[See], See]:
    """Put a function into the table."""

    def enter(see: See) -> See:
        TABLE.append(Rule(name, why, cure, section, see))
        return see

    return enter


def norm(record: LineRecord, *, before: bool = False, only: set[str] | None = None) -> str:
    """The norm of all gradients (of some) after a line, in four digits."""
    gradients = (record.before if before else record.after).gradients
    whole = combine(r for name, r in gradients.items() if only is None or name in only)
    return "none" if whole is None else f"{whole.norm:.4g}"


def brief(raised: str) -> str:
    """The beginning of an exception's message."""
    return textwrap.shorten(raised, 90, placeholder=" ...")


def some(names: tuple[str, ...] | list[str] | set[str]) -> str:
    """A few names, and how many more."""
    listed = sorted(names) if isinstance(names, set) else list(names)
    more = f" and {len(listed) - 3} more" if len(listed) > 4 else ""
    return ", ".join(listed[:3] if more else listed) + more


def at(record: LineRecord) -> str:
    """The line, by its number."""
    return f"line {record.line}"


def retained(record: LineRecord) -> tuple[int, int, int] | None:
    """Of a backward with retain_graph=True: nodes of its graph, the oldest and the newest."""
    found = [e.details.get("nodes") for e in record.events if e.kind == "backward"]
    return next((nodes for nodes in found if nodes is not None), None)


def of(network: str, networks: set[str], names: tuple[str, ...]) -> bool:
    """Whether any of the parameters belongs to the network."""
    return bool(names) and (
        len(networks) == 1 or any(name.startswith(f"{network}.") for name in names)
    )
