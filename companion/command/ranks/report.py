"""The report of a script that runs in several processes: one of them speaks for all.

Each leaves what it has seen when its watched steps are over, and goes on at once. The first reads
what the others have left after one of its later steps, when all is there, and says it; at its own
end it waits for the others, a few seconds at most. One that ends with an error before anything was
said speaks for itself: the first may be killed before it can.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from time import perf_counter, time
from typing import Any

from companion.command.chosen import Chosen, choose, key_of
from companion.command.ranks.averaging import script_may_average
from companion.command.ranks.between import between
from companion.command.ranks.endings import endings, line_of
from companion.command.ranks.hearing import ended_before, heard_early, take_over, trained
from companion.command.ranks.meeting import Meeting
from companion.command.ranks.place import Place, ranked
from companion.command.ranks.told import Told, by_ranks, whose
from companion.command.ranks.whole import Look, headline, later
from companion.command.report import Report
from companion.command.scout.tally import ends_well
from companion.command.starting import place_of
from companion.diagnosis.ranks.rules import compare
from companion.diagnosis.ranks.summary import Summary, names_told, summary
from companion.isolation.wall import is_ours
from companion.isolation.words import words_of
from companion.records.finding import Finding
from companion.records.visible import visible
from companion.render.finding import as_text
from companion.render.phases import in_a_library
from companion.render.player import across

LOOK = 0.1  # seconds between two looks for what the others have left, while the script trains
PATIENCE = 10.0  # seconds, then it is said without those that are missing
HASTE = 1.0  # the same where the script has ended with an error
MOST_LOOKS = 64  # processes that are looked for while the script trains; for more, at the end


class RanksReport(Report):
    """The same as `Report`, where there are others."""

    def __init__(self, given: argparse.Namespace, place: Place) -> None:
        super().__init__(given)
        for option in "json", "html", "output":
            if getattr(given, option) is not None:
                setattr(given, option, ranked(getattr(given, option), place.rank))
        self._place = place
        self._meeting: Meeting | None = None
        self._is_told = False  # the headline
        self._heard: dict[int, Told] = {}
        self._across: list[Finding] = []
        self._block: list[str] = []
        self._next = self._latest = 0.0
        try:
            self._meeting = Meeting(place)
        except OSError:
            self._part()

    def _part(self) -> None:
        """From here on this one speaks for itself."""
        self._meeting = None
        self._name = f"companion, rank {self._place.rank} of {self._place.world}"

    def _leave(self, what: str, told: Told) -> bool:
        """Tell the others; False if there is no way to."""
        try:
            if self._meeting is not None:
                self._meeting.leave(what, told.to_dict())
        except OSError as error:
            if not is_ours(error):
                raise
            self._part()
        return self._meeting is not None

    def _print(self) -> None:
        """What this one has seen is left for the others; nothing is said yet."""
        if self._meeting is None:
            super()._print()
        elif not self._printed and self._is_here():
            self._printed = True
            self._judge()
            self._note_first()
            self._told_first = self._tell(self._summary(), None)
            if not self._leave("seen", self._told_first):
                self._is_told = True
                sentences, below = self._seen()
                self._say(*sentences, below=below)
            self._write()
            self._write_page()
            if self._meeting and self._meeting.first and len(self._place.here) <= MOST_LOOKS:
                self._latest = perf_counter() + PATIENCE
                self.scout.tally.after = self._look

    def _say_early(self) -> None:
        """It is in what is left for the others."""
        if self._meeting is None:
            super()._say_early()

    def _summary(self) -> Summary:
        """What the watched steps here tell the others."""
        routine, records = self.scout.routine, self._records
        network = "" if routine is None else routine.network
        given = records if network else ()
        parallel = self.scout.tally.parallel
        seen = summary(self._place.rank, network, given, parallel, self._steps)
        if seen.averaged and not seen.hooked:
            files = {record.file for record in records}
            seen = replace(seen, averages=script_may_average(files))
        return seen

    def _tell(self, seen: Summary, error: BaseException | None) -> Told:
        routine = self.scout.routine
        watched = bool(self._records and routine is not None and routine.network)
        return Told(
            seen,
            self._findings,
            [] if watched else self._seen()[0],
            self._unwatched(),
            self._guarded(),
            self.scout.tally.number,
            None if ends_well(error) or error is None else words_of(error),
            line_of(error, place_of(self._given.script, module=self._given.module)),
            time(),
        )

    def _look(self) -> None:
        """A step is over: if all others have left what they saw, say it."""
        now = perf_counter()
        if now < self._next or not self._is_here() or self._meeting is None:
            return
        self._next = now + LOOK
        if now > self._latest or all(self._meeting.has(r, "seen") for r in self._place.here):
            self.scout.tally.after = None
            self._say_all(heard_early(self._meeting))

    def _compare(self, heard: dict[int, Told]) -> list[Finding]:
        """What is found between them."""
        found = compare(trained(heard, self._place.rank), names_told(self._records))
        return choose(found, self._given).findings

    def _say_all(self, heard: dict[int, Told], missing: Sequence[int] = ()) -> None:
        """The headline; what has become of those that are missing is said elsewhere."""
        assert self._meeting is not None
        self._is_told, self._heard = True, heard
        with contextlib.suppress(OSError):
            self._meeting.leave("told", {})
        seen, number = trained(heard, self._place.rank), len(self._place.here)
        self._across = self._compare(heard)
        if seen:
            self._block = between(seen, names_told(self._records)) if len(seen) > 1 else []
            library = in_a_library(self._records)
            inside = f" inside {visible(library)}()" if library else ""
            look = Look(self._lines, self._finding, inside, self._out.columns)
            self._say_each([headline(self._place, heard, self._across, self._block, look)])
        said = {r: [*t.sentences, *t.unwatched] for r, t in heard.items()}
        self._say_each(f"{whose(ranks, number)}{one}" for one, ranks in by_ranks(said).items())
        silent = [rank for rank in self._place.here if rank not in heard and rank not in missing]
        if silent:
            self._say(f"{whose(silent, number + 1)}nothing was heard of it")
        self._write()
        self._write_page()

    def _stop(self, error: BaseException | None, say: Callable[[], None] | None) -> None:
        """Python's words come first: the launcher may kill this process while it waits."""
        self.scout.tally.after = None
        super()._stop(error, say)
        if self._is_here():
            if say is not None:
                say()
            self._flush()

    def end(
        self,
        error: BaseException | None,
        code: int | None = None,
        say: Callable[[], None] | None = None,
    ) -> None:
        """The script is over, here; the one that speaks waits a little for the others."""
        if self._meeting is None:
            return super().end(error, code, say)
        self._error = error
        try:
            self._stop(error, say)
            self._print()
            if self._is_here():
                self._judge()
                self._note_exit(error, code)
                untold = self._told_first.summary.untold or self.scout.loaders.epochs.untold
                told = self._tell(replace(self._told_first.summary, untold=untold), error)
                self._leave("over", told)
                self._write()
                if self._meeting is not None:
                    self._end(self._meeting, told)
                else:
                    self._speak_alone(told)
        except Exception as failure:
            if not is_ours(failure):
                raise
            self._say(f"there is no report ({words_of(failure)})")

    def _end(self, meeting: Meeting, told: Told) -> None:
        rank, first = self._place.rank, self._place.here[0]
        if meeting.is_to_speak:
            missing = list(self._place.here)
            with contextlib.suppress(KeyboardInterrupt):  # it ends our waiting, and no more
                missing = meeting.wait("over", HASTE if told.error else PATIENCE)
            if meeting.claim():
                late = [one for one in missing if meeting.is_alive(one)]
                here = [one for one in missing if meeting.has(one, "here")]
                self._speak(late, [one for one in here if one not in late])
                meeting.close(one for one in self._place.here if one not in late)
                return
        if meeting.has(first, "read") and meeting.take(rank):  # all was said without this one
            self._speak_alone(told)
            meeting.close([rank])
        elif told.error and meeting.has(rank, "over") and not meeting.has(first, "told"):
            self._speak_alone(told)

    def _speak(self, late: Sequence[int], dead: Sequence[int]) -> None:
        """All is over, or as good as over: the headline if it was not said yet, and the rest."""
        assert self._meeting is not None
        before, heard = self._heard, take_over(self._meeting)
        if not self._meeting.first and self._meeting.has(self._place.here[0], "told"):
            before = {r: t for r, t in heard_early(self._meeting).items() if r in heard}
            self._is_told = True
        running = {r: t for r, t in heard.items() if r not in (*late, *dead)}
        self._say_each(endings(running, dead))
        if not self._is_told or len(heard) > len(before):
            self._say_all(heard, [*late, *dead])
            before = heard
        self._heard = heard
        self._say_each(self._now_across(heard, before))
        self._say_each(later(len(self._place.here), heard, before, late, dead, self._finding))
        self._say(*self._chosen.sentences(), *self._few(), *self._hints())
        self._write()
        self._annotate(self._reported().findings)

    def _now_across(self, heard: dict[int, Told], before: dict[int, Told]) -> Iterator[str]:
        """What is found between them only now."""
        known = {key_of(one) for one in self._compare(before)}
        found = self._compare(heard)
        self._across = found
        for one in found:
            if key_of(one) not in known:
                yield f"now that the script is over\n{self._finding(one)}"

    def _speak_alone(self, told: Told) -> None:
        """The others have spoken already, or may never."""
        was_told, ended = self._is_told, {self._place.rank: told}
        if self._meeting is not None:
            was_told = self._meeting.has(self._place.here[0], "told")
            ended = ended_before(self._meeting) | ended
        self._part()
        if told.error:
            self._say_each(endings(ended, ()))
        known = {*self._told_first.unwatched}
        if not was_told:
            sentences, below = self._seen()
            self._say(*sentences, below=below)
            known = set()
        else:
            keys = {key_of(one) for one in self._told_first.findings}
            new = [self._finding(one) for one in told.findings if key_of(one) not in keys]
            self._say_each(f"now that the script is over\n{one}" for one in new)
        self._say(*(one for one in told.unwatched if one not in known), *told.guard)

    def _unused(self) -> list[str]:
        """A line on which a rule is silent here may be one where it speaks in another process."""
        return []

    def _finding(self, finding: Finding) -> str:
        return as_text(finding, self._out.columns, self._out.paint)

    def _reported(self) -> Chosen:
        """With what was found between the ranks."""
        chosen = self._chosen
        return Chosen([*chosen.findings, *self._across], chosen.ignored)

    def _below_page(self) -> str:
        """What differs between the ranks, once that was said."""
        return across(self._block, self._across) if self._is_told else ""

    def _more(self) -> dict[str, Any]:
        """What a file says beside what it says of one process."""
        more: dict[str, Any] = {"rank": self._place.rank, "world": self._place.world}
        if self._is_told:
            more["between_ranks"] = {
                "findings": [one.to_dict() for one in self._across],
                "ranks": [told.to_dict() for told in [*self._heard.values()][:MOST_LOOKS]],
            }
        return more
