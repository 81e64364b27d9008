"""A printed trace, folded for a narrow terminal or a phone: what a line did stands below it."""

from __future__ import annotations

import io
import os
import re
import textwrap
from typing import TextIO

HEAD = re.compile(r"^( *(?:runs  )?line  )(code +)(gradients +)parameters$", re.MULTILINE)
FINDING = re.compile(r"(possible: )?[a-z-]+, line \d+(, \d+ times)?: ")
RAISED = re.compile(" +raised ")
CURE = re.compile(" +cure: |          ")  # code, and its further lines
FARTHEST = 8  # columns of indentation that what a line did takes over from its code
DEEPER = 2  # columns, from a line's code to what it did


def fitting(text: str, stream: TextIO | None) -> str:
    """A printed trace, folded if the stream is a terminal that is too narrow for it."""
    if type(stream) is not io.TextIOWrapper:  # a notebook's, or one of the script's own
        return text
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # a file or a pipe; closed
        return text
    return text if max(map(len, text.splitlines())) <= columns else folded(text, columns)


def folded(text: str, width: int) -> str:
    """The same trace with the columns of gradients and parameters below each line.

    Args:
        text: What `print(routine)` writes where there is room, or findings alone.
        width: Columns to fit words into. Code is not broken; a line of it can be longer.

    Returns:
        The trace in the narrow form; any other text as it is.

    Example:
        >>> wide = '''Trace of Net, 2 parameters
        ... line  code              gradients          parameters
        ...    3  loss.backward()   2 None → value
        ...    4  optimizer.step()                     2 changed, norm 0.6'''
        >>> print(folded(wide, 30))
        Trace of Net, 2 parameters
        line  code
           3  loss.backward()
                gradients: 2 None → value
           4  optimizer.step()
                parameters: 2 changed, norm 0.6
    """
    if FINDING.match(text):  # findings alone: `print(*routine.diagnose())`
        return "\n".join(_wrapped(text, width))
    head = HEAD.search(text)
    if not text.startswith("Trace of ") or head is None:
        return text
    table, _, rest = text[head.end() + 1 :].partition("\n\n")
    code, gradients, parameters = (head.end(group) - head.start() for group in (1, 2, 3))
    out = [*_wrapped(text[: head.start()].rstrip("\n"), width), head[1] + "code"]
    for line in table.splitlines():
        if RAISED.match(line):
            out += _wrapped(line, width)
        elif not line[gradients - 2 : gradients].strip():
            out.append(line[:gradients].rstrip())
            statement = line[code:]
            under = code + min(len(statement) - len(statement.lstrip()), FARTHEST) + DEEPER
            did = line[gradients:parameters].strip(), line[parameters:].strip()
            if did[0] and not did[0][0].isdigit():  # it stands across both columns
                out += _wrapped(" " * under + line[gradients:], width)
                continue
            for what, words in zip(("gradients: ", "parameters: "), did, strict=True):
                if words:
                    whole = " " * under + _name(what, words, line, parameters) + words
                    out += _wrapped(whole, width)
        else:  # a long line of code has pushed the columns away
            out.append(line)
    return "\n".join([*out, *([""] if rest else []), *_wrapped(rest, width)]).rstrip("\n")


def _name(what: str, words: str, line: str, column: int) -> str:
    """What the words are of; what stands beyond all columns, such as "lr 0.1 → 0.01", says it."""
    return "" if what == "parameters: " and line[column] == " " else what


def _wrapped(text: str, width: int) -> list[str]:
    """Lines that are too long, broken between words, each part as far in as the first."""
    out = []
    for line in text.splitlines():
        under = line[: len(line) - len(line.lstrip())]
        wrap = textwrap.TextWrapper(
            width, subsequent_indent=under, break_long_words=False, break_on_hyphens=False
        )
        out += [line] if CURE.match(line) or not line else wrap.wrap(line)
    return out
