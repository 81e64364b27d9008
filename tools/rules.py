"""`make rules` writes book/rules.md: every rule of the diagnosis, with loops that are run for it.

What stands there is what `companion explain` says of a rule; a test compares the page with it.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from companion.command.explaining.example import SETUP, Example
from companion.command.explaining.examples import EXAMPLES, FAMILIES, TOGETHER
from companion.command.explaining.examples.ranks import SETUP as RANKS_SETUP
from companion.command.explaining.explain import EVERY, changed, judged, what_it_sees
from companion.diagnosis.ranks.rules import RankRule
from companion.diagnosis.rules import Rule
from companion.render.finding import as_text

PAGE = Path(__file__).parents[1] / "book/rules.md"

HEAD = """\
# What the diagnosis knows

{count} rules look at what a trace has seen. Each stands here with a loop in which it finds \
something, with what is said of that loop, and with what repairs it. All of this was run when the \
page was written, and the tests run it again. `python -m companion explain accumulates` shows the \
same in a terminal.

A finding is certain, or begins with *possible* and says what would settle it. \
[Your own loop](your_own_loop.ipynb) shows how to ask for findings, and \
[What you see, and where to look](symptoms.md) begins with what you see.

Each loop stands below these lines, and is counted on from them:

```python
{setup}
```
"""


RANKS = """\
These compare what several processes did: `torchrun --nproc-per-node 2 -m companion train.py`. \
Each loop stands below these lines, and was run in two processes:

```python
{setup}
```
"""


def page() -> str:
    """The whole page. The loops run in this process, which had better have no others."""
    warnings.simplefilter("ignore")
    rules = {rule.name: rule for rule in EVERY}
    parts = [HEAD.format(count=len(EVERY), setup=SETUP.rstrip())]
    for title, family in FAMILIES.items():
        parts.append(f"## {title}\n")
        if title == TOGETHER:
            parts.append(RANKS.format(setup=RANKS_SETUP.rstrip()))
        parts += [section(rules[name]) for name in family]
    return "\n".join(parts)


ANOTHER = "\nAnother loop in which it finds something:\n\n"


def section(rule: Rule | RankRule) -> str:
    """What stands there of one rule."""
    example = EXAMPLES[rule.name]
    loops = ANOTHER.join(loop(rule, one) for one in (example, *example.further))
    return f"""\
### `{rule.name}`

{what_it_sees(rule)}

{loops}"""


def loop(rule: Rule | RankRule, example: Example) -> str:
    """A loop, what is said of it, and what repairs it."""
    here = rule.section.startswith(f"{PAGE.stem}.html#")
    leads = "" if here else f"\n    explained in: {rule.section}"
    found = "\n".join(as_text(one, guided=False) + leads for one in judged(rule.name, example))
    assert judged(rule.name, example, repaired=True) == []
    return f"""\
```python
{example.broken.replace("  # <-", "").rstrip()}
```

```text
{found}
```

Repaired, with no findings:

```diff
{chr(10).join(changed(example))}
```
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"{PAGE.name} is written")
