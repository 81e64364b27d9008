"""Which of several processes this is, as the launcher's environment says."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MEETING = "COMPANION_MEETING"  # a folder that all hosts share; without it each host has its own

RANK = ("RANK", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
_WORLD = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")
LOCAL = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
_LOCAL_WORLD = ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS")
# What all processes of a run have in common, and no other run has.
_RUN = (
    "TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT",
    "SLURM_JOB_ID", "SLURM_STEP_ID", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where this process stands among the others.

    Attributes:
        rank: Its number among all.
        world: How many there are.
        here: The numbers of those that it can meet: all of its host, or all.
        folder: Where they meet.
    """

    rank: int
    world: int
    here: tuple[int, ...]
    folder: Path


def place(environment: Mapping[str, str]) -> Place | None:
    """Which of several processes this is; None where it is alone, or that is not said.

    Example:
        >>> place({}) is None, place({"RANK": "0", "WORLD_SIZE": "1"}) is None
        (True, True)
        >>> said = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
        >>> there = place(said)
        >>> there.rank, there.here
        (5, (4, 5, 6, 7))
    """
    rank, world = _number(environment, RANK), _number(environment, _WORLD)
    if rank is None or world is None or world < 2 or rank >= world:
        return None
    local, size = _number(environment, LOCAL), _number(environment, _LOCAL_WORLD)
    here = range(world)
    if local is not None and size is not None and local <= rank and MEETING not in environment:
        here = range(rank - local, min(world, rank - local + size))
    return Place(rank, world, tuple(here), _base(environment) / _key(environment, world))


def _number(environment: Mapping[str, str], names: tuple[str, ...]) -> int | None:
    found = next((environment[name] for name in names if environment.get(name)), "")
    return int(found) if found.isdecimal() and len(found) < 9 else None


def _base(environment: Mapping[str, str]) -> Path:
    if given := environment.get(MEETING):
        return Path(given).absolute()
    user = os.getuid() if hasattr(os, "getuid") else 0
    return Path(tempfile.gettempdir()).absolute() / f"companion-{user}"


def _key(environment: Mapping[str, str], world: int) -> str:
    said = [f"{name}={environment.get(name, '')}" for name in _RUN]
    if MEETING not in environment:
        # torchrun makes a folder for each attempt, and every process knows a file in it.
        errors = environment.get("TORCHELASTIC_ERROR_FILE")
        said.append(os.path.dirname(os.path.dirname(errors)) if errors else str(os.getppid()))
    return hashlib.sha256("\n".join([*said, str(world)]).encode()).hexdigest()[:16]


def ranked(path: Path, rank: int) -> Path:
    """A file's name with the rank in it; the first one's keeps its own.

    Example:
        >>> str(ranked(Path("report.json"), 0)), str(ranked(Path("report.json"), 3))
        ('report.json', 'report.rank3.json')
    """
    return path if rank == 0 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


# One process of several, says the launcher: if one ends with a code, the others are ended, too.
_RANKS = ("TORCHELASTIC_RUN_ID", "RANK")
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_NTASKS")


def is_started_with_others() -> bool:
    """Whether a launcher started this process as one of several."""
    sizes = [os.environ.get(name, "") for name in _SIZES]
    return any(name in os.environ for name in _RANKS) or any(
        size.isdecimal() and int(size) > 1 for size in sizes
    )
