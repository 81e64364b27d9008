"""What the command says on stderr and writes into files."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from companion.command.chosen import Chosen, choose, key_of
from companion.command.comments import mistakes, unused
from companion.command.formats.document import document
from companion.command.formats.github import commands
from companion.command.formats.output import write
from companion.command.hints import misplaced, no_training
from companion.command.kinds import FOUND
from companion.command.options import names_of_options
from companion.command.out import Out
from companion.command.ranks.place import is_started_with_others
from companion.command.saying import Saying
from companion.command.scout.scout import Scout
from companion.command.verdict import awaiting, count, few, no_step, not_watched
from companion.diagnosis.diagnose import diagnose
from companion.isolation.wall import is_ours
from companion.isolation.words import words_of
from companion.records.finding import Finding
from companion.records.line import LineRecord
from companion.records.visible import visible
from companion.render.columns import wrapped
from companion.render.counts import count_steps
from companion.render.finding import as_text
from companion.render.phases import in_a_library, watched_in_words
from companion.render.text import text
from companion.tracing.measure.parallel import is_one_of_several


class Report(Saying):
    """What is said on stderr and written into files."""

    scout: Scout

    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__(Out(sys.stderr))
        self._given = given
        self._pid = os.getpid()
        self._printed = self._insisted = self._stopped = False
        self._fails = False
        self._error: BaseException | None = None
        self._exit: dict[str, Any] | None = None
        self._records: Sequence[LineRecord] = ()
        self._chosen = Chosen()
        self._findings: list[Finding] = []
        self._first = self._steps = 0
        self._is_over = False
        self._early: list[str] = []
        self._is_alone = not is_started_with_others()

    def finish(self) -> None:
        """The steps to be watched are over, or no more can be watched: then it is said why."""
        self._print()
        self._say_early()
        if self._given.stop:
            self._stopped = True
            self.scout.insist(self._insist)
            raise SystemExit(self.exit_code())

    def _say_early(self) -> None:
        """Why no more was watched."""
        if self.scout.routine is not None and self._is_here():
            early = [*self.scout.routine.unwatched]
            self._say(*map(not_watched, early))
            self._early = early

    def _insist(self) -> None:
        """The script has caught the exit, and trains on."""
        if not self._insisted:
            self._insisted = True
            self._say("the script caught the SystemExit of --stop; each step now raises it again")
        raise SystemExit(self.exit_code())

    def _stop(self, error: BaseException | None, say: Callable[[], None] | None) -> None:
        """The script is watched no more."""
        self.scout.stop(error)

    def end(
        self,
        error: BaseException | None,
        code: int | None = None,
        say: Callable[[], None] | None = None,
    ) -> None:
        """The script is over; `code` is what it exits with, `say` says Python's words of it."""
        self._error = error
        try:
            self._stop(error, say)
            goes_on = self._printed
            self._print()
            if self._is_here():
                if self.scout.routine is not None:
                    if goes_on:
                        self._judge_again()
                    self._say(*self._unwatched(), *self._guarded())
                self._say(*self._hints())
                self._note_exit(error, code)
                self._write()
                self._annotate(self._findings)
        except Exception as failure:
            if not is_ours(failure):
                raise
            self._say(f"there is no report ({words_of(failure)})")

    def _note_exit(self, error: BaseException | None, code: int | None) -> None:
        self._exit = {
            "code": code,
            "raised": words_of(error) if isinstance(error, Exception) else None,
            "stopped": self._stopped,
            "command": code or self.exit_code(),
        }

    def _annotate(self, findings: Sequence[Finding]) -> None:
        """GitHub reads them off the script's own output."""
        if self._given.format == "github" and self._given.output is None:
            for line in commands(findings, self._given.here):
                self._out.say(line)

    def _hints(self) -> list[str]:
        """What of the options, the comments and pyproject.toml came to nothing."""
        given = self._given
        hints = [*mistakes(self._records), *self._unused()]
        hints += misplaced(given.argv[1:], names_of_options(), given.script)
        problem = given.configuration.problem
        return hints + ([] if problem is None else [problem])

    def _unused(self) -> list[str]:
        """Which comments name rules that find nothing on their lines, once all have spoken."""
        if not self._is_over:
            return []
        whole = self.scout.tally.made == count_steps(self._records) and not self.scout.unwatched
        found = [*self._chosen.findings, *(finding for finding, _ in self._chosen.ignored)]
        return unused(self._records, found, whole=whole, every=self._given.every)

    def exit_code(self) -> int:
        """0, or `FOUND`; one of several processes must not end all others."""
        return FOUND if self._fails and self._is_here() and self._is_alone else 0

    def _is_here(self) -> bool:
        """Whether this is the process that was started, not a fork of it."""
        return os.getpid() == self._pid

    def _print(self) -> None:
        """Say what was seen, the first time this is called."""
        if self._printed or not self._is_here():
            return
        self._printed = True
        self._is_alone = self._is_alone and not is_one_of_several()
        self._judge()
        self._note_first()
        sentences, below = self._seen()
        self._say(*sentences, below=below)
        self._say(*self._chosen.sentences())
        self._write()
        self._write_page()

    def _note_first(self) -> None:
        """So much was there when the first steps were over."""
        self._first, self._steps = len(self._records), count_steps(self._records)

    def _seen(self) -> tuple[list[str], str | None]:
        """What was seen, in sentences, and what stands below the last one."""
        routine = self.scout.routine
        if routine is not None and self._records:
            return self._verdict(), self._shown()
        if self.scout.problem is not None:
            return [f"this script cannot be watched: {self.scout.problem}"], None
        if self.scout.unwatched:
            return ["no training loop was watched", *self._unwatched()], None
        script = "" if self._given.module else self._given.script
        words = no_training(self._error, self.scout.backwards, script)
        return [words, *self.scout.loaders.children.sentences], None

    def _shown(self) -> str:
        """The lines, and the findings."""
        lines = self._lines(self._findings)
        library = in_a_library(self._records).rpartition(".")[0]
        into = wrapped(f"its lines: --into {visible(library)}", self._out.columns)
        whole = [lines, self._told(self._findings), "\n".join(into) if library else ""]
        return "\n\n".join(filter(None, whole))

    def _lines(self, findings: Sequence[Finding]) -> str:
        """The lines, with the rules that object to them; "" where none can be shown."""
        routine = self.scout.routine
        if routine is None or not routine.network or not self._records:
            return ""
        out = self._out
        whole = text(
            self._records,
            network=routine.network,
            findings=findings,
            as_written=True,
            width=out.columns,
            paint=out.paint,
        )
        return whole.removesuffix(f"\n\n{self._told(findings)}") if findings else whole

    def _judge(self) -> None:
        routine = self.scout.routine
        self._records = () if routine is None else routine.records
        found = diagnose(self._records)
        events = [event.kind for record in self._records[-1:] for event in record.events]
        self._is_over = "end" in events
        chosen = choose(found if self._is_over else map(awaiting, found), self._given)
        said = {key_of(finding): finding for finding in self._findings}  # it stays as it was said
        self._findings = [said.get(key_of(finding), finding) for finding in chosen.findings]
        self._chosen = replace(chosen, findings=self._findings)
        self._fails = self._chosen.fail(self._given.fail_on)

    def _judge_again(self) -> None:
        """The script has gone on since the report: say what is known only now, at its end."""
        said = set(map(key_of, self._findings))
        ignored = self._chosen.sentences()
        self._judge()
        new = [finding for finding in self._findings if key_of(finding) not in said]
        if new:
            found = count(len(new), "finding")
            self._say(f"now that the script is over, {found}", below=self._told(new))
            self._write_page()
        if self._chosen.sentences() != ignored:
            self._say(*self._chosen.sentences())

    def _told(self, findings: Sequence[Finding]) -> str:
        return "\n\n".join(as_text(f, self._out.columns, self._out.paint) for f in findings)

    def _verdict(self) -> list[str]:
        """What was watched, and whether that was less than was wanted."""
        found, tally = len(self._findings), self.scout.tally
        if not self._steps:
            return [no_step(self._records, found, stepped=bool(tally.number))]
        made = tally.made if self._few() else None
        words = watched_in_words(self._records, found, self._given.every, made)
        return [words, *self._few()]

    def _few(self) -> list[str]:
        """That fewer steps were watched than was wanted, for the script has too few for that."""
        return few(self._steps, self._given, self.scout.tally.made)

    def _write_page(self) -> None:
        routine = self.scout.routine
        if self._given.html is not None and routine is not None and routine.network:
            try:
                page = routine.play()
                replace(page, findings=page.findings + self._below_page()).save(self._given.html)
            except OSError as error:
                if not is_ours(error):
                    raise
                self._say(f"no page was written: {error}")

    def _below_page(self) -> str:
        """What else stands on the page, as HTML."""
        return ""

    def _unwatched(self) -> list[str]:
        """What has not been said before."""
        return [not_watched(one) for one in self.scout.unwatched if one not in self._early]

    def _guarded(self) -> list[str]:
        """What the guard has seen, and no certain finding says already."""
        guard, said = self.scout.guard, {one.rule for one in self._findings if one.certain}
        if guard is None:
            return []
        seen = zip(guard.seen, guard.sentences, strict=False)  # no sentences before its end
        return [f"guard: {visible(words)}" for one, words in seen if one.kind not in said]

    def _more(self) -> dict[str, Any]:
        """What else is in the file."""
        return {}

    def _write(self) -> None:
        said = "".join(f"{line}\n" for line in self._said)
        chosen = self._reported()
        told = self._records, self._chosen, self._exit, self._first
        report = document(self._given, self.scout, *told)
        self._say(*write(self._given, {**report, **self._more()}, chosen, said))

    def _reported(self) -> Chosen:
        """All that is reported."""
        return self._chosen
