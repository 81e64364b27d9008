"""Which findings are reported: not those that a comment, an option or pyproject.toml leaves out."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field

from companion.diagnosis.ignored import parted
from companion.records.finding import Finding
from companion.records.visible import visible
from companion.render.finding import named


@dataclass(frozen=True)
class Chosen:
    """What a diagnosis has found.

    Attributes:
        findings: Those that are reported.
        ignored: Those that are not, and what leaves them out.
    """

    findings: list[Finding] = field(default_factory=list)
    ignored: list[tuple[Finding, str]] = field(default_factory=list)

    def fail(self, when: str) -> bool:
        """Whether they fail a script; `when` is what `--fail-on` says."""
        return when != "never" and any(f.certain or when == "possible" for f in self.findings)

    def sentences(self) -> list[str]:
        """How many findings are ignored, where, and by what."""
        if not self.ignored:
            return []
        number = f"{len(self.ignored)} finding{'' if len(self.ignored) == 1 else 's'}"
        each = [f"{named(finding)} ({by})" for finding, by in self.ignored]
        return [visible(f"ignored {number}: {'; '.join(each)}")]


def choose(found: Iterable[Finding], given: argparse.Namespace) -> Chosen:
    """What is reported of all that was found."""
    kept, silenced = parted(found)
    chosen = Chosen(ignored=[(finding, "a comment") for finding in silenced])
    for finding in kept:
        by = _left_out_by(finding, given)
        if by is None:
            chosen.findings.append(finding)
        else:
            chosen.ignored.append((finding, by))
    return chosen


def _left_out_by(finding: Finding, given: argparse.Namespace) -> str | None:
    configuration, rule = given.configuration, finding.rule
    said = configuration.options
    if given.select is not None and rule not in given.select:
        return "pyproject.toml selects others" if given.select is said.get("select") else "--select"
    if rule in given.ignore and given.ignore is not said.get("ignore"):
        return "--ignore"
    if rule in said.get("ignore", ()) or configuration.ignores(rule, finding.file):
        return "pyproject.toml"
    return None


def key_of(finding: Finding) -> str:
    """What two findings have in common that say the same of the same line."""
    return f"{finding.rule} {finding.file} {finding.line} {finding.certain}"
