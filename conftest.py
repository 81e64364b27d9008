"""nbval compares outputs with `!=`; here they become strings that know what is the same."""

from __future__ import annotations

from nbval.plugin import IPyNbCell

from tests.chapters.outputs import Output

_sanitize = IPyNbCell.sanitize


def _output(cell: IPyNbCell, value: object) -> object:
    sanitized = _sanitize(cell, value)
    return Output(sanitized) if isinstance(sanitized, str) else sanitized


IPyNbCell.sanitize = _output
