"""A trace that was printed where there is room, folded for a phone: a book's pages hold it."""

from __future__ import annotations

import re

from companion.render.columns import columns, cut, wrapped
from companion.render.parts import Part, folded_part
from companion.render.table import Row, narrow

HEAD = re.compile(r"^( *(?:runs  )?line  )(code +)(gradients +)parameters$", re.MULTILINE)
TITLE = re.compile("^Trace of ", re.MULTILINE)  # a script's own output may stand before it
PARTS = re.compile(r"^(runs  )(where +)(what +)changed$", re.MULTILINE)  # of a library's loop
OWN = re.compile(" *[0-9]+  |# ")  # a line of the user's, among them
FINDING = re.compile(r"(possible: )?[a-z-]+, (cell \d+, )?line \d+(, \d+ times)?: ")
RAISED = re.compile(" +raised ")
# Code, and its further lines; a command; an address.
CURE = re.compile(" +(cure|explained by|in the course): |          ")


def folded(text: str, width: int) -> str:
    """The same trace with the columns of gradients and parameters below each line.

    Args:
        text: What `print(routine)` writes where there is room, or the command, or findings alone.
        width: Columns to fit words into. A line of code is broken between words; one that has
            pushed the columns away, and a cure, is not.

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
        return "\n".join(_fitting(text, width))
    if "your line: " in text and (parts := PARTS.search(text)):
        return "\n".join(_parts(text, parts, width))
    head = HEAD.search(text)
    if head is None:
        return "\n".join(_fitting(text, width)) if text.startswith("companion: ") else text
    if not TITLE.search(text, 0, head.start()):
        return text
    table, _, rest = text[head.end() + 1 :].partition("\n\n")
    digits = len(head[1]) - 2
    code, gradients = len(head[2]), len(head[3])
    out = [*_fitting(text[: head.start()].rstrip("\n"), width), head[1] + "code"]
    for line in table.splitlines():
        number, after = cut(line, len(head[1]))
        statement, did = cut(after, code)
        if RAISED.match(line):
            out += wrapped(line, width)
        elif statement.endswith("  ") or columns(after) < code:
            row = Row(number.strip(), [statement.rstrip()], *_did(did, gradients))
            out += narrow(row, digits, width)
        elif "  " not in after.strip():
            out += narrow(Row(number.strip(), [after]), digits, width)
        else:  # a long line of code has pushed the columns away
            out.append(line)
    return "\n".join([*out, *([""] if rest else []), *_fitting(rest, width)]).rstrip("\n")


def _did(words: str, width: int) -> tuple[str, str, str, str]:
    """The columns after the code: gradients, parameters, what else was changed, what was bound."""
    if words and words[0] not in " 0123456789":  # it stands across both columns
        return "", "", "", words
    gradients, rest = cut(words, width)
    parameters, _, others = rest.partition("  ")  # what else was changed begins beyond both
    also, _, beside = others.strip().partition("  ")
    return gradients.strip(), parameters, also, beside


def _parts(text: str, head: re.Match[str], width: int) -> list[str]:
    """The same of a loop that a library runs."""
    table, _, rest = text[head.end() + 1 :].partition("\n\n")
    out = [*_fitting(text[: head.start()].rstrip("\n"), width), "runs  where  what"]
    for line in table.splitlines():
        runs, after = cut(line, len(head[1]))
        place, changed = cut(after, len(head[2]) + len(head[3]))
        if after.startswith("^ ") or (changed and not place.endswith("  ")):
            out.append(line)  # a rule; or a long line of code has pushed the column away
            continue
        did = [("also", changed)] if changed else []
        row = Part(runs.strip(), place.rstrip(), None, did)
        if not OWN.match(place):
            where, what = cut(place, len(head[2]))
            row = row._replace(where=where.rstrip(), what=what.rstrip())
        out += folded_part(row, width)
    return [*out, *([""] if rest else []), *_fitting(rest, width)]


def _fitting(text: str, width: int) -> list[str]:
    """Lines that are too long, broken between words, each part as far in as the first."""
    out = []
    for line in text.splitlines():
        out += [line] if CURE.match(line) else wrapped(line, width)
    return out
