"""What a rule means: its reason, a broken loop and its repaired twin, both run as shown."""

from __future__ import annotations

import difflib
import gc
import textwrap
from collections.abc import Iterator

from companion.command.explaining.example import Example
from companion.command.explaining.examples import EXAMPLES, FAMILIES, TOGETHER
from companion.command.explaining.together import can_run, judged_together
from companion.command.scout.scout import Scout
from companion.diagnosis.alike import alike
from companion.diagnosis.ranks.rules import RANK_RULES, RankRule
from companion.diagnosis.rules import RULES, Rule
from companion.records.finding import Finding
from companion.records.version import on_the_web
from companion.render.finding import as_text
from companion.tracing.code.source import remember

EVERY: list[Rule | RankRule] = [*RULES, *RANK_RULES]


def rules() -> str:
    """Every rule, and what it sees.

    Example:
        >>> [line.split()[0] for line in rules().splitlines()][:2]
        ['not-called', 'never-steps']
    """
    wide = max(len(rule.name) for rule in EVERY)
    lines = (f"{rule.name:{wide}}  {what_it_sees(rule)}" for rule in EVERY)
    return "\n".join(lines)


def what_it_sees(rule: Rule | RankRule) -> str:
    """In a sentence."""
    return (rule.see.__doc__ or "").partition("\n")[0]


def explain(name: str) -> str:
    """What a rule means, and two scripts: one in which it finds something, and one that is right.

    Args:
        name: The rule's name, as a finding gives it.

    Raises:
        ValueError: If there is no such rule; the message names those that are alike.
    """
    rule = next((one for one in EVERY if one.name == name), None)
    if rule is None:
        raise ValueError(alike(name))
    example, place = EXAMPLES[name], on_the_web(rule.section) or rule.section
    if name in FAMILIES[TOGETHER] and not can_run():
        return "\n".join([f"{name}: {what_it_sees(rule)}", *textwrap.wrap(rule.why, 88)])
    return "\n".join(
        [
            f"{name}: {what_it_sees(rule)}",
            *textwrap.wrap(rule.why, 88),
            "",
            "A loop in which it finds something:",
            "",
            *_numbered(example.script()),
            "",
            *(
                as_text(one).replace(
                    f"explained by: companion explain {name}", f"in the course: {place}"
                )
                for one in judged(name, example)
            ),
            "",
            "The same, repaired:",
            "",
            *(f"    {line}".rstrip() for line in changed(example)),
            "",
            *([str(one) for one in judged(name, example, repaired=True)] or ["no findings"]),
        ]
    )


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


def _numbered(text: str) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), 1):
        yield f"{number:4}  {line}".rstrip()


def changed(example: Example) -> Iterator[str]:
    """The lines that are others than in the broken script, with two around them."""
    old, new = (example.script(repaired=one).splitlines() for one in (False, True))
    for line in list(difflib.unified_diff(old, new, n=2, lineterm=""))[2:]:
        yield "  ..." if line.startswith("@@") else f"{line[:1]} {line[1:]}".rstrip()
