"""The rules that compare processes: each looks at a team, and gives findings or nothing.

They are entered into a table of their own, in the form of the others, by the same constants.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from companion.diagnosis.ranks.apart import are_apart, are_same, is_apart
from companion.diagnosis.ranks.summary import At, Numbers, Summary
from companion.diagnosis.ranks.team import Team, teams
from companion.diagnosis.rules.table import PAGE, some
from companion.records.finding import Finding
from companion.records.times import times

See = Callable[[Team, Sequence[str]], Iterator[Finding]]


@dataclass(frozen=True)
class RankRule:
    """A rule's name and constant texts, and the function that looks; see `rules.table.Rule`."""

    name: str
    why: str
    section: str
    see: See


RANK_RULES: list[RankRule] = []
_MODULE = re.compile(r"\b([A-Za-z_][\w.]*)\.module\(")


def rank_rule(name: str, *, why: str) -> Callable[[See], See]:
    """Put a function into the table."""

    def enter(see: See) -> See:
        RANK_RULES.append(RankRule(name, why, f"{PAGE}#{name}", see))
        return see

    return enter


def compare(summaries: Sequence[Summary], names: Sequence[str]) -> list[Finding]:
    """What is wrong between these processes; certain before possible.

    Args:
        summaries: What each of them told.
        names: The parameters whose readings are in it, of the network of the first.

    Example:
        >>> compare([Summary(0), Summary(1)], [])
        []
    """
    found = [
        one for team in teams(summaries) for rule in RANK_RULES for one in rule.see(team, names)
    ]
    return sorted(found, key=lambda one: not one.certain)


@rank_rule(
    "not-synchronised",
    why="DistributedDataParallel averages the gradients of a backward whose forward went through "
    "it, outside of no_sync(); else each process steps with its own, and the networks part.",
)
def not_synchronised(team: Team, names: Sequence[str]) -> Iterator[Finding]:
    """Processes of one DistributedDataParallel step with gradients that were not averaged."""
    if team.how != "ddp" or any(one.hooked for one in team.members):
        return
    apart = [i for i, several in enumerate(team.steps()) if are_apart(several)]
    moved = zip(*(one.moved for one in team.members), strict=False)
    if not apart or any(map(are_same, moved)):  # their parameters were averaged instead
        return
    first = team.first
    blamed, step = first.blame or first.used[apart[0]], first.used[apart[0]]
    around = first.outermost and not first.forwards
    sure = around and not any(one.averages for one in team.members)
    module = _MODULE.search(blamed.source)
    cure = ""
    if around and module:
        cure = blamed.source.replace(module[0], f"{module[1]}(")
    elif not around:
        cure = "# the last backward before a step, and its forward, outside of no_sync()"
    what = "no forward went through DistributedDataParallel" if around else "no sum was averaged"
    yield _finding(
        "not-synchronised",
        blamed,
        f"{what}: line {step.line} stepped with gradients whose norms were "
        f"{_by_rank(team, apart[0])}",
        cure,
        settle=None if sure else "whether the parameters are averaged from time to time instead",
        often=len(apart),
    )


@rank_rule(
    "ranks-differ",
    why="Averaged gradients keep networks the same that begin the same; these do not, and each "
    "process trains, and would save, another one.",
)
def ranks_differ(team: Team, names: Sequence[str]) -> Iterator[Finding]:
    """Processes average their gradients, and their parameters differ before the first step."""
    if team.how not in ("ddp", "by hand") or not team.first.used:
        return
    apart = _different([one.first for one in team.members], names)
    if not apart:
        return
    first, number = team.first, len(team.first.first)
    cure = (
        "# load and initialise before DistributedDataParallel(net): it sends rank 0's to all"
        if team.how == "ddp"
        else "# torch.distributed.broadcast(p.data, 0) of each parameter p, once, before the loop"
    )
    yield _finding(
        "ranks-differ",
        first.used[0],
        f"before the first step {len(apart)} of {number} parameters had other values in each "
        f"process ({some(apart)}): {_example(team, names, apart[0])}",
        cure,
    )


@rank_rule(
    "same-data",
    why="Processes that average gradients are to see other samples each; those of the same samples "
    "compute the same gradient, and the work of all but one is lost.",
)
def same_data(team: Team, names: Sequence[str]) -> Iterator[Finding]:
    """Processes that train one network together are fed the same batches, or the same order."""
    if team.how not in ("ddp", "shards", "by hand"):
        return
    if team.first.untold is not None and all(one.untold for one in team.members):
        yield _finding(
            "same-data",
            team.first.untold,
            "each process began the epoch with the rows of the one before: its DistributedSampler "
            "shuffles by the epoch that set_epoch() tells it, and was told of no other",
            "# the sampler's set_epoch(epoch), before each epoch's loop over the loader",
            settle="whether all epochs are to have the same order",
            why="A sampler that is told of no epoch shuffles once: every epoch goes through the "
            "samples in the same order, and each process sees the same part of them each time.",
        )
    fed: dict[object, list[Summary]] = {}
    for one in team.members:
        if len(one.inputs) > 1 and all(given.rows for given in one.inputs):
            fed.setdefault(one.inputs, []).append(one)
    alike = max(fed.values(), key=len, default=[])
    if len(alike) > 1 and (alike[0].backwards or alike[0].used):
        one = alike[0]
        same = bool(one.losses) and all(other.losses == one.losses for other in alike)
        blamed = [*one.backwards, *one.used][0]
        yield _finding(
            "same-data",
            blamed,
            f"{_ranks(alike)} were given the same inputs in each of {len(one.inputs)} forwards"
            + (", and had the same losses" if same else ""),
            "# sampler=DistributedSampler(...) for the DataLoader, in place of shuffle=True;\n"
            "# or, where samples are drawn: torch.manual_seed(seed + rank), after DDP or FSDP",
            settle="whether the ranks are to share each sample: parts of one network or sequence",
        )


def _ranks(several: Sequence[Summary]) -> str:
    numbers = [str(one.rank) for one in several]
    if len(numbers) > 4:
        return f"{len(numbers)} ranks ({', '.join(numbers[:3])}, ...)"
    return f"ranks {', '.join(numbers[:-1])} and {numbers[-1]}"


def samples(summaries: Sequence[Summary]) -> tuple[int, int]:
    """How many samples were seen in the watched steps, and how many of them by several ranks."""
    seen: Counter[str] = Counter()
    for one in summaries:
        seen.update({row for given in one.inputs for row in given.rows})
    return len(seen), sum(number > 1 for number in seen.values())


def different(summaries: Sequence[Summary], names: Sequence[str]) -> list[str]:
    """The parameters that are not the same in all of these after the watched steps."""
    return _different([one.last for one in summaries], names)


def _different(several: Sequence[Sequence[Numbers | None]], names: Sequence[str]) -> list[str]:
    columns = zip(*several, strict=False)
    return [name for name, column in zip(names, columns, strict=False) if are_apart(column)]


def _by_rank(team: Team, step: int) -> str:
    """Two norms that are apart, and whose they are."""
    used = [one.used[step].before or one.used[step].after for one in team.members]
    other = next(i for i, one in enumerate(used) if is_apart(used[0], one))
    pairs = [(team.members[i].rank, used[i]) for i in (0, other)]
    return " and ".join(f"{n[1]:.4g} (rank {rank})" for rank, n in pairs if n is not None)


def _example(team: Team, names: Sequence[str], name: str) -> str:
    place = list(names).index(name)
    readings = [one.first[place] for one in team.members]
    other = next(i for i, one in enumerate(readings) if is_apart(readings[0], one))
    pairs = [(team.members[i].rank, readings[i]) for i in (0, other)]
    told = [f"{n[0]:.4g} (rank {rank})" for rank, n in pairs if n is not None]
    return f"the sum of {name} was {' and '.join(told)}"


def _finding(
    rule: str,
    at: At,
    observed: str,
    cure: str,
    *,
    settle: str | None = None,
    why: str | None = None,
    often: int = 1,
) -> Finding:
    """`why` it matters, where that is not what the rule says."""
    found = next(one for one in RANK_RULES if one.name == rule)
    return Finding(
        rule=rule,
        certain=settle is None,
        file=at.file,
        line=at.line,
        source=at.source,
        observed=observed + (f" ({times(often)} in the watched steps)" if often > 1 else ""),
        why=why or found.why,
        cure=cure,
        settle=settle,
        chapter=found.section,
        index=0,
        times=1,
    )
