"""What a random script is made of: `Part`s of text, and how they are put into one another."""

from __future__ import annotations

import textwrap
from typing import NamedTuple

HUNG = 1000  # the exit status of a script that does not end
FOUND = 3  # that of the command, after a certain finding
# Where an ingredient's `body` may stand in a step of training.
START, CLEARED, LOSS, BACKWARD, END = range(5)
ANYWHERE = (START, CLEARED, LOSS, BACKWARD, END)


class Network(NamedTuple):
    """The text that makes `net`, `criterion` and `batch()`."""

    name: str
    text: str


class Optimizer(NamedTuple):
    """The text that makes `optimizer`, and its lines in a step."""

    name: str
    build: str
    step: str = "optimizer.step()"
    clear: str = "optimizer.zero_grad()"
    things: str = "net, optimizer"  # what is handed to trace()
    before: str = ""  # lines right before the loop


class Loop(NamedTuple):
    """How steps come about: `define` stands at module level, `start` in the script's `try`.

    Markers stand on a line of their own: `<before>` (lines before the loop), `<loop>`, and in
    `loop` itself `<step>`. `<things>` is what is handed to trace().
    """

    name: str
    start: str
    define: str = ""
    loop: str = "for step in range(5):\n    x, y = batch()\n    <step>"
    scoped: bool = True  # whether the lines before the loop share its variables
    endless: bool = False  # whether an exception may end it at any time, and it prints nothing


class Ingredient(NamedTuple):
    """Something that people do in a loop. All fields are lines of the script, empty for none.

    They may use `net`, `optimizer`, `criterion`, `batch()`, `F`, `holder` (an object of the user's,
    `self` in a method), `count(name)` (printed at the end), in the loop also `step`, `x`, `y`,
    and from LOSS on `outputs` and `loss`.

    Attributes:
        body: Lines in each step, at one of the places `at`.
        setup: Module level, before the network is built.
        ready: Module level, when network and optimizer are there.
        before: Right before the loop, in its scope.
        forward: In place of the lines that make `outputs` and `loss`.
        backward: In place of `loss.backward()`.
        around: Around the loop; `...` on a line of its own stands for it.
        inside: The same around one step.
        after: Printed at the end.
        timed: Ends the loop at no fixed time: it stands alone, and no number is printed.
        slow: Chosen rarely.
    """

    name: str
    body: str = ""
    at: tuple[int, ...] = ANYWHERE
    setup: str = ""
    ready: str = ""
    before: str = ""
    forward: str = ""
    backward: str = ""
    around: str = ""
    inside: str = ""
    after: str = ""
    timed: bool = False
    slow: bool = False


def fill(template: str, **texts: str) -> str:
    """Put each text in place of the line that is its marker, as deep as that; `loop` for <loop>."""
    lines = []
    for line in template.strip("\n").splitlines():
        marker = line.strip()
        name = "dots" if marker == "..." else marker.removeprefix("<").removesuffix(">")
        if name in texts and (marker == "..." or marker.startswith("<")):
            depth = line[: len(line) - len(line.lstrip())]
            text = texts[name].strip("\n")
            if text:
                lines.append(textwrap.indent(text, depth))
        else:
            lines.append(line)
    return "\n".join(lines)


def stack(*texts: str) -> str:
    """Texts one below another, without the empty ones."""
    return "\n".join(text.strip("\n") for text in texts if text.strip())
