"""What ended the processes of a run, in sentences: a cause before what came of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from companion.command.ranks.told import Told, by_ranks, named
from companion.command.scout.own import is_own
from companion.records.visible import visible

LONGEST = 200  # characters of an exception's words

# What gloo, NCCL and torch's store raise in a process whose peer has gone; not what a socket of the
# user's own does, which is an OSError.
_LOST = re.compile(
    r"^(RuntimeError|torch\.\S+Error): .*(connection (closed|reset|was likely closed)|by peer"
    r"|broken pipe|remote process exited|timed out waiting|failed to recv)",
    re.IGNORECASE | re.DOTALL,
)
_SOURCE = re.compile(r"\[\S+:\d+\] ")


def has_lost(error: str | None) -> bool:
    """Whether an exception, in words, tells that another process has gone.

    Example:
        >>> has_lost("RuntimeError: [pair.cc:561] Connection closed by peer [127.0.0.1]:32400")
        True
        >>> has_lost("ConnectionResetError: [Errno 104] Connection reset by peer")
        False
    """
    return error is not None and _LOST.search(error) is not None


def line_of(error: BaseException | None, place: str | None) -> str:
    """The innermost line of the user's that an exception went through; "" where there is none."""
    found, step = "", None if error is None else error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if is_own(code, place):
            found = f"line {step.tb_lineno} of {os.path.basename(code.co_filename)}"
        step = step.tb_next
    return found


def endings(heard: Mapping[int, Told], dead: Sequence[int]) -> Iterator[str]:
    """Who raised what, and where; who was killed; who lost the connection to them.

    Args:
        heard: What each has told at its end.
        dead: Those that have ended without a word.

    Example:
        >>> from companion.diagnosis.ranks.summary import Summary
        >>> lost = Told(Summary(0), error="RuntimeError: Connection closed by peer", ended=2.0)
        >>> bad = Told(Summary(1), error="ValueError: no sample", line="line 9 of a.py", ended=1.0)
        >>> print("\\n".join(endings({0: lost, 1: bad}, [])))
        rank 1 raised ValueError: no sample, at line 9 of a.py, before any other rank had ended
        rank 0 then lost its connection to another rank: RuntimeError: Connection closed by peer
        >>> print("\\n".join(endings({0: lost}, [1])))
        rank 1 was killed, or left by os._exit(), before the end
        rank 0 then lost its connection to another rank: RuntimeError: Connection closed by peer
    """
    order = {rank: heard[rank] for rank in sorted(heard, key=lambda rank: heard[rank].ended)}
    lost = {rank: told for rank, told in order.items() if has_lost(told.error)}
    causes = [*_raised(order, alone=not dead), *_killed(dead)]
    causes = causes or [*_gone(order, lost)]
    yield from causes
    then = "then lost" if causes else "lost"
    said = {
        rank: [f"{then} its connection to another rank{_where(t)}: {_short(t)}"]
        for rank, t in lost.items()
    }
    for words, ranks in by_ranks(said).items():
        yield f"{named(ranks)} {words}"


def _raised(order: Mapping[int, Told], *, alone: bool) -> Iterator[str]:
    """Those that raised something of their own; `alone` where nobody was killed."""
    said = {
        rank: [f"raised {_words(told)}{_where(told)}"]
        for rank, told in order.items()
        if told.error and not has_lost(told.error)
    }
    for words, ranks in by_ranks(said).items():
        first = alone and next(iter(order)) in ranks and len(ranks) < len(order)
        yield f"{named(ranks)} {words}{', before any other rank had ended' if first else ''}"


def _killed(dead: Sequence[int]) -> Iterator[str]:
    if dead:
        were = "was" if len(dead) == 1 else "were"
        yield f"{named(dead)} {were} killed, or left by os._exit(), before the end"


def _gone(order: Mapping[int, Told], lost: Mapping[int, Told]) -> Iterator[str]:
    """Those that had simply come to their end when another one still needed them."""
    latest = min((told.ended for told in lost.values()), default=0.0)
    for rank, told in order.items():
        if not told.error and told.ended < latest:
            steps = f"{told.steps or 'no'} step{'' if told.steps == 1 else 's'}"
            yield f"rank {rank} came to its end, after {steps}"


def _words(told: Told) -> str:
    words = visible(told.error or "").rstrip(".")
    return words if len(words) <= LONGEST else f"{words[:LONGEST]} [...]"


def _short(told: Told) -> str:
    """What torch says of a lost connection, without its own source's line and its advice."""
    return _SOURCE.sub("", _words(told), count=1).partition(". ")[0]


def _where(told: Told) -> str:
    return f", at {visible(told.line)}" if told.line else ""
