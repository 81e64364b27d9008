"""The diagnosis: every rule looks at the finished trace, and what they see becomes findings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from companion.diagnosis.generic import fitting
from companion.diagnosis.ledger import Ledger
from companion.diagnosis.maker import maker
from companion.diagnosis.rules import RULES, Rule, Sighting, superseded
from companion.records.finding import Finding
from companion.records.line import LineRecord


def diagnose(records: Sequence[LineRecord]) -> list[Finding]:
    """Findings, worst first: certain before possible, then in the order of the table.

    Each rule speaks once for each line; `times` says how often it saw the same there.

    Example:
        >>> diagnose([])
        []
    """
    ledger = Ledger(records)
    seen = {rule.name: list(rule.see(ledger)) for rule in RULES}
    silent = superseded(ledger, [name for name, sightings in seen.items() if sightings])
    findings = []
    for rule in (one for one in RULES if one.name not in silent):
        lines: dict[tuple[str, int], list[Sighting]] = {}
        sightings = seen[rule.name]
        if rule.section.endswith(_OF_LOSSES):
            sightings = [replace(one, record=maker(records, one.record)) for one in sightings]
        for sighting in sightings:
            lines.setdefault(sighting.record.place, []).append(sighting)
        findings += [_finding(ledger, rule, sightings) for sightings in lines.values()]
    return sorted(findings, key=lambda finding: not finding.certain)


_OF_LOSSES = "#losses-that-are-fed-wrong"


def _finding(ledger: Ledger, rule: Rule, sightings: Sequence[Sighting]) -> Finding:
    """One finding for all that a rule saw on one line: the first sure sighting speaks."""
    chosen = next((one for one in sightings if one.settle is None), sightings[0])
    record = chosen.record
    return Finding(
        rule=rule.name,
        certain=chosen.settle is None,
        file=record.file,
        line=record.line,
        source=record.source,
        observed=chosen.observed,
        why=rule.why,
        cure=fitting(ledger, rule.cure) if chosen.cure is None else chosen.cure,
        settle=chosen.settle,
        chapter=rule.section,
        index=record.index,
        times=len({one.record.index for one in sightings}),
    )
