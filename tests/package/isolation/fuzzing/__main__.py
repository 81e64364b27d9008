"""The long run: `python -m tests.package.isolation.fuzzing --first 0 --count 2000`.

Each seed whose script is otherwise when it is watched is printed at once; the exit code is 1 if
there is any. `--show SEED` prints a script, `--keep FOLDER` writes those that differ, `--smallest`
looks for the fewest parts that still differ, `--twice` runs each script alone twice (it must be the
same), `--only WORD` takes the seeds whose title has the word.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.package.isolation.fuzzing.running import compare, runner
from tests.package.isolation.fuzzing.script import recipe, write
from tests.package.isolation.fuzzing.smallest import smallest


def main() -> None:
    """Run the scripts of many seeds."""
    given = _parse()
    if given.show is not None:
        print(write(recipe(given.show)), end="")
        return
    different: dict[int, str] = {}
    start, ran = time.monotonic(), 0
    with tempfile.TemporaryDirectory() as folder, runner(Path(folder)) as runs:
        for seed in range(given.first, given.first + given.count):
            made = recipe(seed)
            if given.only not in made.title:
                continue
            ran += 1
            script = write(made)
            if given.twice:
                first, second = (runs.run(script, "alone") for _ in range(2))
                words = compare(first, second)
                if given.verbose and first.code:
                    print(f"{seed}: exit code {first.code}: {made.title}\n{first.err[-400:]}")
                found = {"alone, again": words} if words else {}
            else:
                found = runs.differences(script)
            if not found:
                continue
            cause = smallest(made, runs) if given.smallest else made.title
            different[seed] = cause
            print(f"seed {seed}: {made.title}")
            if cause != made.title:
                print(f"  smallest: {cause}")
            for mode, words in found.items():
                print(f"  {mode}:", *words.splitlines()[: given.lines], sep="\n    ")
            sys.stdout.flush()
            if given.keep is not None:
                given.keep.mkdir(parents=True, exist_ok=True)
                (given.keep / f"seed_{seed}.py").write_text(script)
    seconds = time.monotonic() - start
    for cause, number in Counter(different.values()).most_common() if given.smallest else ():
        print(f"{number:4} {cause}: {[s for s, c in different.items() if c == cause]}")
    print(f"{ran} scripts in {seconds:.0f} s, {len(different)} differ: seeds {list(different)}")
    sys.exit(bool(different))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.package.isolation.fuzzing", description=__doc__
    )
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--show", type=int, metavar="SEED")
    parser.add_argument("--keep", type=Path, metavar="FOLDER")
    parser.add_argument("--only", default="", metavar="WORD")
    parser.add_argument("--lines", type=int, default=12, help="of each difference")
    parser.add_argument("--smallest", action="store_true")
    parser.add_argument("--twice", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
