"""What finds which mistake in a training loop: `make bench-peers`.

Every package that says it finds mistakes in PyTorch training code is given the same scripts:

- **tests**: the loops of this project's tests, broken, repaired and sound, each made a script; two
  sound ones are left out, which alone never train, or never train a part.
- **explain**: the scripts of `companion explain`, broken and repaired.
- **folder**: scripts that companion had missed when they were written, most of them; a folder
  beside the repository, named by `--loops`.
- **peers**: mistakes that a peer names in its documentation and no rule of ours is about.

A broken script is *found* where one message of the package names its mistake; which message names
which mistake stands in `peering/kinds.py`, and in doubt it does: "Module's 0.weight should change"
counts for every mistake by which parameters stand still. *Noise* is a warning or an error about a
script without a mistake; notes, and hints about speed on a GPU, are not counted. Where a package
brings a script to no end within {seconds} seconds, it has said nothing.

The first two groups were written for our rules, beside them: that companion finds what is there
says that it works, not that it is better. They say what the others leave.

The packages are installed beside this project's own, in an environment that `PEERS_PY=` names:
`pip install torch-preflight mldoct TorchFix torch-audit torchtest2`, and `pip install --no-deps
torcheck`, which was released for torch below 2.0 and is run with this one nevertheless.

companion, torch-preflight, mldoct and TorchFix take the script as it is. The others want edits:
what their documentation asks for is put before the training loop, with the networks and
optimizers that are there (`peering/adapters.py`). *Edits* is the number of lines for one network
and one optimizer. torch-audit runs by `autopatch` at every step, torcheck with all its checks,
torchtest2's `check_model` gets the script's own first batch, loss and optimizer. mldoct is its
`check`; its `watch` reads what a script prints, and these print no losses.

Of companion only the findings are counted, found or noise, not the line of its guard, which says
where numbers stop being finite after the watched steps.

*Cost* is the time of a script of {steps} sound steps with the package, over the same
without, side by side: the median of {rounds} ratios and their quartiles, without imports. Those
that run nothing have none; told is what their check of that one file takes. companion and
torchtest2 take most of theirs once, the other two in every step.
"""

from __future__ import annotations

import argparse
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from peering import adapters
from peering.adapters import PEERS, Peer, Said, execute
from peering.forked import answer
from peering.kinds import HINTS, named
from peering.loops import Loop, edited, every
from side_by_side import about, head, line, middle_and_quartiles, told

TABLE = Path(__file__).with_name("peers.md")
GROUPS = ["tests", "explain", "folder", "peers"]
ROUNDS, STEPS, SECONDS = 3, 300, 120
SOUND = """\
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 8))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss()
inputs, labels = torch.randn(64, 256), torch.randint(8, (64,))
for step in range(STEPS):
    optimizer.zero_grad()
    loss = criterion(net(inputs), labels)
    loss.backward()
    optimizer.step()
"""
Heard = dict[str, Said | None]  # of a peer, by the script's file; None if it came to no end


def heard(peer: Peer, loops: list[Loop]) -> Heard:
    """What a peer says of each loop."""
    if peer.run is not None:
        return {
            one.file: answer(partial(peer.run, one.script, one.edited), SECONDS) for one in loops
        }
    assert peer.folder is not None
    with tempfile.TemporaryDirectory() as folder:
        for one in loops:
            (Path(folder) / one.file).write_text(one.script, encoding="utf-8")
        said = peer.folder(Path(folder))
    return {one.file: said.get(one.file, []) for one in loops}


def is_found(peer: Peer, loop: Loop, said: Said | None) -> bool:
    """Whether one of its messages names the loop's mistake."""
    return any(named(peer.name, one) & loop.kinds for one in said or ())


def is_noise(said: Said | None) -> bool:
    """Whether anything is said that a sound loop's author would have to look at."""
    return any(not re.search(HINTS, one) for one in said or ())


# The cost.


def _timed(run: Callable[[], object]) -> float:
    """Seconds by the clock: processor time is told in steps of 10 ms on some machines."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def cost(peer: Peer, rounds: int, steps: int) -> str:
    """The cell of a peer."""
    text = SOUND.replace("STEPS", str(steps))
    if peer.folder is not None:
        alone = Loop("sound", "cost", frozenset(), text, text)
        spent = statistics.median(_timed(partial(heard, peer, [alone])) for _ in range(3))
        return f"none; {spent:.1f} s a file"
    assert peer.run is not None
    cells = [_ratio(partial(peer.run, text, edited(text)), text, rounds)]
    if peer.name == "torch-audit":
        seldom = partial(adapters.torch_audit, text, edited(text), 1000)
        cells.append(f"with `every_n_steps=1000` {_ratio(seldom, text, rounds)}")
    return "; ".join(cells)


def _ratio(watched: Callable[[], object], text: str, rounds: int) -> str:
    """Watched over bare; each once in vain first."""
    pairs = []
    for _ in range(rounds):
        bare = answer(partial(_timed, partial(execute, text)), SECONDS)
        pairs.append(answer(partial(_timed, watched), SECONDS) / bare)
    middle, quartiles = middle_and_quartiles(pairs)
    return f"{middle} ({quartiles})"


# The tables.


def row(peer: Peer, loops: list[Loop], all_heard: dict[str, Heard], spent: str) -> list[str]:
    """What it found, the noise, the edits, the cost."""
    if peer.name not in all_heard:
        return [peer.name, "not installed", *[""] * (len(GROUPS) + 2)]
    said = all_heard[peer.name]
    cells = []
    for group in GROUPS:
        broken = [one for one in loops if one.group == group and one.kinds]
        found = sum(is_found(peer, one, said[one.file]) for one in broken)
        cells.append(f"{found} of {len(broken)}" if broken else "not run")
    sound = [one for one in loops if not one.kinds]
    noise = sum(is_noise(said[one.file]) for one in sound)
    cells += [f"{noise} of {len(sound)}", str(len(peer.edits.splitlines())), spent]
    return [f"{peer.name} {peer.version}", *cells]


def by_mistake(
    peers: list[Peer], loops: list[Loop], all_heard: dict[str, Heard]
) -> Iterator[list[str]]:
    """For each mistake its loops, and how many of these each peer found."""
    broken = [one for one in loops if one.kinds]
    for kind in sorted({kind for one in broken for kind in one.kinds}):
        own = [one for one in broken if kind in one.kinds]
        counts = [
            sum(is_found(peer, one, all_heard[peer.name][one.file]) for one in own)
            for peer in peers
        ]
        yield [kind, str(len(own)), *map(str, counts)]


def found_by_peers_alone(
    peers: list[Peer], loops: list[Loop], all_heard: dict[str, Heard]
) -> Iterator[str]:
    """The broken loops in which companion names no mistake, and a peer does."""
    ours, others = peers[0], peers[1:]
    for one in loops:
        if one.kinds and not is_found(ours, one, all_heard[ours.name][one.file]):
            finders = [p.name for p in others if is_found(p, one, all_heard[p.name][one.file])]
            if finders:
                yield f"- {one.name} ({one.group}): {', '.join(finders)}"


def own_noise(ours: Heard, loops: list[Loop]) -> Iterator[str]:
    """What companion says of sound loops."""
    for one in loops:
        for said in ours[one.file] or () if not one.kinds else ():
            yield f"- {one.name} ({one.group}): {said.partition(':')[0]}"


BETTER = (Path(__file__).parent / "peering/better.md").read_text(encoding="utf-8").strip()


def main() -> None:
    """Print the tables as they grow, then write them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loops", type=Path, metavar="FOLDER", help="of more scripts")
    parser.add_argument("--only", default="", metavar="TEXT", help="loops whose name has this")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="pairs of runs for each cost")
    parser.add_argument("--steps", type=int, default=STEPS, help="of the script that is timed")
    parser.add_argument("--output", type=Path, default=TABLE)
    chosen = parser.parse_args()
    if chosen.rounds < 2:
        parser.error("quartiles need 2 rounds or more")
    loops = [one for one in every(chosen.loops) if chosen.only in one.name]
    if not loops:
        parser.error(f"no loop's name has {chosen.only}")

    adapters.prepare()
    there = [peer for peer in PEERS if peer.version]
    all_heard: dict[str, Heard] = {}

    def rows() -> Iterator[list[str]]:
        for peer in PEERS:
            spent = ""
            if peer in there:
                all_heard[peer.name] = heard(peer, loops)
                spent = cost(peer, chosen.rounds, chosen.steps)
            yield row(peer, loops, all_heard, spent)

    numbers = [*GROUPS, "noise", "edits", "cost"]
    first = told(head(["package"], numbers), map(line, rows()))
    print()
    names = [peer.name for peer in there]
    second = told(
        head(["mistake"], ["loops", *names]), map(line, by_mistake(there, loops, all_heard))
    )
    alone = list(found_by_peers_alone(there, loops, all_heard)) or ["None."]
    explanation = __doc__.partition("\n\n")[2].strip()
    text = [
        "# Beside others that look for mistakes",
        about(*(f"{peer.name} {peer.version}" for peer in there)),
        explanation.format(rounds=chosen.rounds, steps=chosen.steps, seconds=SECONDS),
        first,
        BETTER,
        "## What companion says of sound ones",
        "\n".join(own_noise(all_heard["companion"], loops)) or "Nothing.",
        "## Found by others, not by companion",
        "\n".join(alone),
        "## Mistake by mistake",
        "A loop with two names for its mistake is in two rows.",
        second,
    ]
    chosen.output.write_text("\n\n".join(text) + "\n", encoding="utf-8")
    print(f"\nWritten to {chosen.output.name}")


if __name__ == "__main__":
    main()
