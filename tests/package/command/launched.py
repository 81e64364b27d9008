"""Scripts in two processes, as a launcher starts them: the same environment, real gloo."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.package.ranks import loopback
from tests.package.running import NOTHING, forks

# Runs in a fork that has imported torch; each rank is a fork of that one.
CODE = """
import json, os, socket, sys, tempfile
for job in json.loads(sys.argv[1]):
    ranks = []
    with socket.socket() as one:  # a port that is free now: other tests take some meanwhile
        one.bind(("127.0.0.1", 0))
        os.environ["MASTER_PORT"] = str(one.getsockname()[1])
    for rank in range(job["size"]):
        pid = os.fork()
        if pid:
            ranks.append(pid)
            continue
        os.environ.update(job["variables"], RANK=str(rank), LOCAL_RANK=str(rank))
        tempfile.tempdir = None  # it may be known from before
        os.chdir(job["folder"])
        sys.path.insert(0, job["folder"])
        for stream, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(f"{stream}{rank}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), number)
        from companion.__main__ import main
        from companion.command.ranks import report
        report.PATIENCE = job["patience"]
        code = 1
        try:
            main(job["arguments"])
            code = 0
        except SystemExit as error:
            code = error.code or 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in ranks]
    open(os.path.join(job["folder"], "codes"), "w").write(json.dumps(codes))
"""


class Launched(NamedTuple):
    """What became of it: by rank, the exit codes, and what each wrote."""

    codes: list[int]
    out: list[str]
    err: list[str]
    folder: Path

    @property
    def report(self) -> str:
        """What all of them said on stderr."""
        return "\n".join(filter(None, self.err))


def launch(
    folder: Path,
    scripts: Mapping[str, str],
    *arguments: str,
    size: int = 2,
    patience: float = 10,
    variables: Mapping[str, str] = NOTHING,
) -> dict[str, Launched]:
    """Run each script in that many processes, one script after the other."""
    jobs = []
    for name, text in scripts.items():
        place = folder / name.replace(" ", "_")
        (place / "tmp").mkdir(parents=True)
        (place / "train.py").write_text(text)
        jobs.append(
            {
                "folder": str(place),
                "size": size,
                "patience": patience,
                "arguments": [*arguments, "train.py"],
                "variables": {
                    "WORLD_SIZE": str(size),
                    "LOCAL_WORLD_SIZE": str(size),
                    "MASTER_ADDR": "127.0.0.1",
                    "TORCHELASTIC_RUN_ID": name,
                    "TMPDIR": str(place / "tmp"),
                    **loopback(),
                    **variables,
                },
            }
        )
    forks().run(folder, CODE, json.dumps(jobs), how="code").well()
    return {
        name: _read(Path(str(job["folder"])), size) for name, job in zip(scripts, jobs, strict=True)
    }


def _read(folder: Path, size: int) -> Launched:
    codes: list[int] = json.loads((folder / "codes").read_text())
    out = [(folder / f"out{rank}").read_text() for rank in range(size)]
    err = [(folder / f"err{rank}").read_text() for rank in range(size)]
    return Launched(codes, out, err, folder)


def left(one: Launched) -> Sequence[str]:
    """What is left of the files in which the processes met."""
    return [str(path) for path in (one.folder / "tmp").rglob("*.*")]
