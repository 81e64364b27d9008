"""Findings as SARIF 2.1.0, the form in which code hosts and editors take them from any tool."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from companion.command.chosen import Chosen
from companion.command.explaining.explain import EVERY, what_it_sees
from companion.command.formats.github import located, message
from companion.records.cells import cell_of
from companion.records.finding import Finding
from companion.records.version import installed, on_the_web

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def sarif(chosen: Chosen, exit_: dict[str, Any] | None, here: str) -> dict[str, Any]:
    """One run with all findings; what is ignored is there as suppressed."""
    used = [finding for finding, _ in chosen.ignored] + chosen.findings
    rules = [rule for rule in EVERY if rule.name in {finding.rule for finding in used}]
    order = {rule.name: number for number, rule in enumerate(rules)}
    code = None if exit_ is None else exit_["code"]
    results = [_result(finding, order, here) for finding in chosen.findings]
    for finding, by in chosen.ignored:
        kind = "inSource" if by == "a comment" else "external"
        suppressed = {"kind": kind, "justification": by}
        results.append({**_result(finding, order, here), "suppressions": [suppressed]})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "companion",
                        "version": installed(),
                        **_link("informationUri", ""),
                        "rules": [
                            {
                                "id": rule.name,
                                "shortDescription": {"text": what_it_sees(rule)},
                                "fullDescription": {"text": rule.why},
                                "help": {"text": f"companion explain {rule.name}"},
                                **_link("helpUri", rule.section),
                            }
                            for rule in rules
                        ],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "invocations": [
                    {
                        "executionSuccessful": code in (None, 0),
                        **({} if code is None else {"exitCode": code}),
                    }
                ],
                "results": results,
            }
        ],
    }


def _result(finding: Finding, order: dict[str, int], here: str) -> dict[str, Any]:
    path, line = located(finding, here)
    location: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(path)},
            "region": {"startLine": max(1, line)},
        }
    }
    cell = cell_of(finding.file)
    if cell is not None:
        location["logicalLocations"] = [{"name": f"{cell[1]}, line {finding.line}"}]
    source = " ".join(finding.source.split())
    return {
        "ruleId": finding.rule,
        "ruleIndex": order[finding.rule],
        "level": "error" if finding.certain else "warning",
        "message": {"text": message(finding)},
        "locations": [location],
        "partialFingerprints": {"rule/source": f"{finding.rule}:{source}"},
    }


def _link(name: str, page: str) -> dict[str, str]:
    url = on_the_web(page)
    return {} if url is None else {name: url}


def _uri(path: str) -> str:
    """A path as a URI: whole where it is absolute."""
    pure = PurePath(path)
    return pure.as_uri() if pure.is_absolute() else quote(path)
