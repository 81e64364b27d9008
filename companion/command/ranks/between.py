"""What differs between processes, in words: one line for each number that all of them have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from companion.diagnosis.ranks.rules import different, samples
from companion.diagnosis.ranks.summary import Numbers, Summary
from companion.diagnosis.ranks.team import teams
from companion.diagnosis.rules.table import some

MOST = 4  # ranks that are shown one by one; of more, the lowest and the highest
Shown = tuple[int, str, float]  # rank, what is shown of it, and by what it is ordered


def between(summaries: Sequence[Summary], names: Sequence[str]) -> list[str]:
    """Losses, gradients before and after they are averaged, parameters, samples, by rank."""
    out = ["between the ranks:"]
    alike = [one for one in summaries if one.names == summaries[0].names]
    first = alike[0]
    if any(one.losses for one in alike):
        where = f"loss, line {first.loss_line}" if first.loss_line else "loss"
        out += _by_rank(where, [_losses(one) for one in alike])
    if first.backwards:
        line = first.backwards[0].line
        held = " of its shard" if first.sharded else ""
        before, after = _last(alike, line, before=True), _last(alike, line, before=False)
        if any(one is not None for _, one in before):
            out += _norms(f"last gradient norm{held} before line {line}", before)
        out += _norms(f"last gradient norm{held} after line {line}", after)
        if first.used:
            used = [(one.rank, at) for one in alike if (at := _used(one)) is not None]
            if [one for _, one in used] != [one for _, one in after]:
                out += _norms(f"last gradient norm at line {first.used[-1].line}", used)
        if held:
            out += [f"    of the whole: {_whole([one for _, one in after if one is not None])}"]
    out += _parameters(alike, names)
    seen, shared = samples(summaries)
    if seen:
        out.append(f"    samples: {seen} were seen, {shared or 'none'} of them by several ranks")
    return [*out, *_others(summaries)]


def _losses(one: Summary) -> Shown:
    shown = " → ".join(f"{number:.4g}" for number in one.losses[-3:])
    return one.rank, shown or "none", one.losses[-1] if one.losses else math.nan


def _last(
    several: Sequence[Summary], line: int, *, before: bool
) -> list[tuple[int, Numbers | None]]:
    """What each read around the last run of a backward's line."""
    runs = [(one.rank, [at for at in one.backwards if at.line == line]) for one in several]
    return [(rank, at[-1].before if before else at[-1].after) for rank, at in runs if at]


def _used(one: Summary) -> Numbers | None:
    return one.used[-1].before if one.used else None


def _norms(what: str, several: Sequence[tuple[int, Numbers | None]]) -> Iterator[str]:
    shown = [
        (rank, "none" if one is None else f"{one[1]:.4g}", math.nan if one is None else one[1])
        for rank, one in several
    ]
    yield from _by_rank(what, shown)


def _by_rank(what: str, several: Sequence[Shown]) -> Iterator[str]:
    if not several:
        return
    if len({text for _, text, _ in several}) == 1 and len(several) > 1:
        yield f"    {what}: {several[0][1]} on all"
        return
    yield f"    {what}:"
    chosen, wide = list(several), max(len(str(rank)) for rank, _, _ in several)
    if len(chosen) > MOST:
        ordered = sorted((one for one in chosen if math.isfinite(one[2])), key=lambda one: one[2])
        chosen = [ordered[0], ordered[-1]] if ordered else chosen[:MOST]
    for rank, text, _ in chosen:
        yield f"        rank {rank:<{wide}}  {text}"
    if len(chosen) < len(several):
        yield f"        the other {len(several) - len(chosen)} ranks lie between these two"


def _whole(shards: Sequence[Numbers]) -> str:
    return f"{math.hypot(*(norm for _, norm in shards)):.4g}, put together of {len(shards)} shards"


def _parameters(alike: Sequence[Summary], names: Sequence[str]) -> Iterator[str]:
    if alike[0].sharded or len(alike) < 2:
        return
    apart, number = different(alike, names), len(alike[0].last)
    if apart:
        yield f"    parameters afterwards: {len(apart)} of {number} differ ({some(apart)})"
        if not any(team.how for team in teams(alike)):
            yield "    nothing that was seen averages gradients: each rank trains its own network"
    else:
        yield f"    parameters afterwards: no difference is seen in {number}"


def _others(summaries: Sequence[Summary]) -> Iterator[str]:
    """Those that did something else: another network, other lines, another number of steps."""
    kinds: dict[tuple[str, str, str, int], list[int]] = {}
    for one in summaries:
        kinds.setdefault((one.network, one.names, one.lines, one.steps), []).append(one.rank)
    mine, *others = kinds
    for kind in others:
        network, names, _, steps = kind
        ranks = ", ".join(map(str, kinds[kind][:MOST]))
        what = [f"rank {ranks}{' and more' if len(kinds[kind]) > MOST else ''}:"]
        if names != mine[1]:
            what.append(f"another network, {network or 'none'},")
        steps_said = f"{steps or 'no'} step{'' if steps == 1 else 's'}"
        what.append(f"other lines, or more or fewer runs of them, in {steps_said}")
        yield f"    {' '.join(what)}"
