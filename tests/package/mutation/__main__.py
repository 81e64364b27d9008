"""`python -m tests.package.mutation` runs all mutants, and writes benchmarks/diagnosis.md."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.package.mutation.table import SCRIPTS, Mutant, Said, judged, mutants, table

FILE = Path(__file__).parents[3] / "benchmarks/diagnosis.md"


Judged = list[tuple[Mutant, Said]]


def run() -> tuple[Judged, Judged]:
    """All mutants with a mistake, and all without."""
    with TemporaryDirectory() as name:
        faulty, sound = (
            [(one, judged(one, Path(name))) for one in mutants(faults=faults)]
            for faults in (True, False)
        )
    return faulty, sound


def written(faulty: Judged, sound: Judged) -> str:
    """What is to stand in the file."""
    return f"""# What the diagnosis finds

Written by `python -m tests.package.mutation`, and compared by `make test-all`.

{len(SCRIPTS)} scripts of the kinds that people write (`tests/package/loops/real_*.py`) are
changed, each in all ways that fit it, and run by `python -m companion`. Either a mistake is put
in (`tests/package/mutation/faults.py`), or something is written in another way that is as right
(`changes.py`). A mistake counts as found where one of the rules named for it speaks, in the three
steps that the command watches or at the script's end.

{table(faulty, sound)}
"""


if __name__ == "__main__":
    FILE.write_text(written(*run()), encoding="utf-8")
    print(f"{FILE.name} is written")
