"""What a rule means: its reason, a broken loop and its repaired twin, both run as shown."""

from __future__ import annotations

import difflib
import gc
from collections.abc import Iterator

from companion.command.explaining.example import Example
from companion.command.explaining.examples import EXAMPLES, FAMILIES, TOGETHER
from companion.command.explaining.together import can_run, judged_together
from companion.command.scout.scout import Scout
from companion.diagnosis.alike import alike
from companion.diagnosis.ranks.rules import RANK_RULES, RankRule
from companion.diagnosis.rules import RULES, Rule
from companion.records.finding import Finding
from companion.records.version import in_the_course
from companion.render.columns import wrapped
from companion.render.finding import as_text
from companion.tracing.code.source import remember

EVERY: list[Rule | RankRule] = [*RULES, *RANK_RULES]
WIDEST = 88  # columns of prose
LEAST = 40  # columns of what a rule sees, beside its name; where there are fewer it stands below


def rules(width: int | None = None) -> str:
    """Every rule, and what it sees; in so many columns.

    Example:
        >>> [line.split()[0] for line in rules().splitlines()][:2]
        ['not-called', 'never-steps']
    """
    edge = max(len(rule.name) for rule in EVERY) + 2
    return "\n".join(line for rule in EVERY for line in _listed(rule, edge, width))


def _listed(rule: Rule | RankRule, edge: int, width: int | None) -> Iterator[str]:
    """A rule's name, and beside it what it sees."""
    if width is not None and width - edge < LEAST:
        yield from [rule.name, *wrapped(f"    {what_it_sees(rule)}", width)]
        return
    first, *further = wrapped(" " * edge + what_it_sees(rule), width)
    yield from [f"{rule.name:{edge}}{first[edge:]}", *further]


def what_it_sees(rule: Rule | RankRule) -> str:
    """In a sentence."""
    return (rule.see.__doc__ or "").partition("\n")[0]


def explain(name: str, width: int | None = None) -> str:
    """What a rule means, and two scripts: one in which it finds something, and one that is right.

    Of some rules there are further such pairs.

    Args:
        name: The rule's name, as a finding gives it.
        width: How many columns there are; code is broken only where it has no room.

    Raises:
        ValueError: If there is no such rule; the message names those that are alike.
    """
    rule = next((one for one in EVERY if one.name == name), None)
    if rule is None:
        raise ValueError(alike(name))
    example, place = EXAMPLES[name], in_the_course(rule.section)
    head = wrapped(f"{name}: {what_it_sees(rule)}", width, deeper=4)
    head += wrapped(rule.why, min(WIDEST, width or WIDEST))
    if name in FAMILIES[TOGETHER] and not can_run():
        return "\n".join([*head, *wrapped(f"in the course: {place}", width)])
    for which, one in ("A", example), *(("Another", one) for one in example.further):
        head += ["", f"{which} loop in which it finds something:", *_shown(name, one, place, width)]
    return "\n".join(head)


def _shown(name: str, example: Example, place: str, width: int | None) -> Iterator[str]:
    """A loop, what is found in it, and what repairs it."""
    yield from ["", *_numbered(example.script(), width), ""]
    yield from (as_text(one, width, guided=False) for one in judged(name, example))
    yield from wrapped(f"    in the course: {place}", width)
    yield from ["", "The same, repaired:", ""]
    yield from (one for line in changed(example) for one in _code(line, 4, width))
    left = [as_text(one, width) for one in judged(name, example, repaired=True)]
    yield from ["", *(left or ["no findings"])]


def judged(name: str, example: Example, *, repaired: bool = False) -> list[Finding]:
    """Run an example as the command runs a script, and say what is found in it."""
    text = example.script(repaired=repaired)
    place = f"<{name}{', repaired' if repaired else ''}>"
    if name in FAMILIES[TOGETHER]:
        return judged_together(lambda: _run(text, place))
    scout = _run(text, place)
    return [] if scout.routine is None else scout.routine.diagnose()


def _run(text: str, place: str) -> Scout:
    """Watch all steps of a script."""
    remember(place, text)
    gc.collect()  # an example before may have left networks
    scout = Scout(len(text), lambda: None, place)
    scout.start()
    names = {"__name__": "__main__", "print": _quiet}
    try:
        exec(compile(text, place, "exec", dont_inherit=True), names)
    except Exception as error:
        scout.stop(error)
    else:
        scout.stop(None)
    return scout


def _quiet(*words: object) -> None:
    """What an example prints is not what it is shown for."""


def _numbered(text: str, width: int | None) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        first, *further = _code(line, 6, width)
        yield f"{number:4}  {first[6:]}".rstrip()
        yield from further


def _code(line: str, edge: int, width: int | None) -> list[str]:
    """A line of code behind so many spaces; where it has no room, the rest stands further in."""
    return [one.rstrip() for one in wrapped(" " * edge + line, width, deeper=4)]


def changed(example: Example) -> Iterator[str]:
    """The lines that are others than in the broken script, with two around them."""
    old, new = (example.script(repaired=one).splitlines() for one in (False, True))
    for line in list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]:
        yield "  ..." if line.startswith("@@") else f"{line[:1]} {line[1:]}".rstrip()
