"""`companion explain RULE ...` and `companion rules`: what is asked, and in how many columns."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from companion.command.explaining.explain import explain, rules
from companion.command.parser import Parser
from companion.render.terminal import columns_of

WORDS = {
    "explain": "What a rule means: a loop in which it finds something, and the same loop repaired. "
    "Both are run as they are shown.",
    "rules": "Every rule of the diagnosis, and what it sees.",
}


def tell(words: Sequence[str], prog: str) -> None:
    """Print what is asked for; `words` begin with one of `WORDS`."""
    what = words[0]
    parser = Parser(prog=prog, description=WORDS[what])
    if what == "explain":
        parser.add_argument("names", nargs="*", metavar="RULE", help="as a finding gives it")
    asked, strangers = parser.parse_known_args(words[1:])
    named = [name for several in vars(asked).get("names", ()) for name in several.split(",")]
    names = [name.strip() for name in named if name.strip()]
    if strangers:
        parser.error(_too_much(what, strangers[0]))
    if what == "explain" and not names:
        parser.error("which rule? companion explain accumulates; `companion rules` lists them")
    width = columns_of(sys.stdout)
    try:
        told = [explain(name, width) for name in names] if names else [rules(width)]
    except ValueError as error:
        parser.error(str(error))
    print("\n\n\n".join(told))


def _too_much(what: str, word: str) -> str:
    if what == "explain":
        return f"no option is called {word!r}; names of rules stand here, and nothing else"
    cure = f"companion explain {word}" if word[:1] != "-" else "companion rules"
    return f"{word!r} is too much: {cure}"
