"""What is said of all processes: when the watched steps are over, and at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from companion.command.chosen import key_of
from companion.command.ranks.place import Place
from companion.command.ranks.told import Told, by_ranks, whose
from companion.records.finding import Finding
from companion.render.columns import wrapped


class Look(NamedTuple):
    """How the one that speaks shows what it has.

    Attributes:
        lines: Gives its lines, marked with findings.
        finding: Gives a finding.
        inside: Where its loop stands, if that is a library.
        width: How many columns there are.
    """

    lines: Callable[[Sequence[Finding]], str]
    finding: Callable[[Finding], str]
    inside: str
    width: int | None


def headline(
    place: Place,
    heard: Mapping[int, Told],
    across: Sequence[Finding],
    block: Sequence[str],
    look: Look,
) -> str:
    """The lines of the one that speaks, what differs, the findings: of all, then of some.

    Args:
        place: Where the one that speaks stands.
        heard: What each has told.
        across: The findings between them.
        block: What differs, in lines.
        look: How lines and findings are shown.
    """
    everybody = {rank: told.findings for rank, told in heard.items() if told.summary.names}
    keys = by_ranks({rank: map(key_of, found) for rank, found in everybody.items()})
    once = {key_of(one): one for found in everybody.values() for one in found}
    all_of_them = [*across, *sorted(once.values(), key=lambda one: not one.certain)]
    shown = [
        "\n".join(filter(None, [_label(keys.get(key_of(one)), everybody), look.finding(one)]))
        for one in all_of_them
    ]
    table = look.lines(all_of_them)
    count = f"{len(shown) or 'no'} finding{'' if len(shown) == 1 else 's'}"
    some = "" if len(everybody) == place.world else f"{len(everybody)} of "
    steps = {told.summary.steps for told in heard.values() if told.summary.names}
    each = f"{min(steps)} to {max(steps)}" if len(steps) > 1 else f"{max(steps)}"
    title = f"{some}{place.world} ranks watched, {each} step{'' if steps == {1} else 's'} each"
    title += f"{look.inside}, {count}; "
    title += f"the lines are rank {place.rank}'s" if table else "no lines are shown here"
    lines = [part for line in block for part in wrapped(line, look.width, deeper=4)]
    below = ["\n".join(lines)] if lines else []
    return "\n\n".join(["\n".join(filter(None, [title, table])), *below, *shown])


def _label(ranks: list[int] | None, everybody: Mapping[int, object]) -> str:
    return "" if ranks is None else whose(ranks, len(everybody)).rstrip()


def later(
    number: int,
    heard: Mapping[int, Told],
    before: Mapping[int, Told],
    late: Sequence[int],
    dead: Sequence[int],
    show: Callable[[Finding], str],
) -> Iterator[str]:
    """What is known only at the end, in sentences.

    Args:
        number: How many there are to hear of.
        heard: What each has told by now.
        before: What each had told when the headline was said.
        late: Those that still run.
        dead: Those that have ended without a word.
        show: Gives a finding.
    """
    new: dict[int, list[str]] = {}
    for rank, told in heard.items():
        known = {key_of(one) for one in before[rank].findings} if rank in before else set()
        new[rank] = [show(one) for one in told.findings if key_of(one) not in known]
    for words, ranks in by_ranks(new).items():
        yield f"{whose(ranks, number)}now that the script is over\n{words}"
    said: dict[int, list[str]] = {}
    for rank, told in heard.items():
        was = before[rank].unwatched if rank in before else []
        said[rank] = [*(words for words in told.unwatched if words not in was), *told.guard]
    for words, ranks in by_ranks(said).items():
        yield f"{whose(ranks, number)}{words}"
    yield from _steps({r: t for r, t in heard.items() if r not in (*late, *dead)})
    for rank in late:
        yield f"rank {rank} had not ended by then: what it sees later it says itself"


def _steps(heard: Mapping[int, Told]) -> Iterator[str]:
    """A sentence, if not all have made as many steps."""
    numbers = by_ranks({r: [str(t.steps)] for r, t in heard.items() if t.error is None})
    if len(numbers) > 1:
        listed = (f"{whose(ranks, len(heard) + 1)}{number}" for number, ranks in numbers.items())
        yield f"the ranks made different numbers of steps: {', '.join(listed)}"
