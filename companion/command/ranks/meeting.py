"""Where the processes of a run meet: files in a folder of this user's own, each written at once.

Nobody waits in it while a script trains. A process leaves what it has seen, in three files:
`RANK.here` when it starts, `RANK.seen` after the watched steps, `RANK.over` at its end. The first
of them reads what is there. If it has died, another one that lives takes its place at its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from companion.command.ranks.place import Place

LARGEST = 2**20  # bytes of a file that is read; what is written is far smaller
SKEW = 120  # seconds that one may have started before the other; what is older is another run's
LATE = 5  # seconds after the start in which another one may still come
BETWEEN = 0.02  # seconds between two looks


class Meeting:
    """What this process leaves for the others, and reads of them.

    Args:
        place: Where it stands among them.

    Raises:
        OSError: If there is no folder for it that is this user's alone.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self._began = time.time()
        base = place.folder.parent
        for folder in (base, place.folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            kept = os.lstat(folder)
            if hasattr(os, "getuid") and kept.st_uid != os.getuid():
                raise PermissionError(f"{folder} belongs to somebody else")
            if not folder.is_dir() or folder.is_symlink():
                raise NotADirectoryError(f"{folder} is no folder")
        for old in ("seen", "over", "told", "said", "read"):
            self._file(place.rank, old).unlink(missing_ok=True)
        self.leave("here", {"pid": os.getpid(), "host": platform.node()})

    @property
    def first(self) -> bool:
        """Whether this one is to speak for all."""
        return self.place.rank == self.place.here[0]

    def leave(self, what: str, told: dict[str, Any]) -> None:
        """Write a file for the others: it is there as a whole, or not at all."""
        path = self._file(self.place.rank, what)
        hidden = path.with_name(f".{path.name}")
        hidden.write_text(json.dumps(told), encoding="utf-8")
        os.replace(hidden, path)

    def read(self, rank: int, what: str) -> dict[str, Any] | None:
        """What another one has left; None if nothing of this run is there."""
        path = self._file(rank, what)
        try:
            kept = path.stat()
            if kept.st_mtime < self._began - SKEW or kept.st_size > LARGEST:
                return None
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def has(self, rank: int, what: str) -> bool:
        """Whether another one has left it in this run."""
        try:
            return self._file(rank, what).stat().st_mtime >= self._began - SKEW
        except OSError:
            return False

    def take(self, rank: int) -> dict[str, Any] | None:
        """What one has left at its end: of two that would take it one does."""
        taken = self._file(rank, "over").with_suffix(f".{self.place.rank}")
        try:
            os.rename(self._file(rank, "over"), taken)
        except OSError:
            return None
        found = self.read(rank, taken.suffix[1:])
        taken.unlink(missing_ok=True)
        return found

    def take_all(self) -> dict[int, dict[str, Any]]:
        """What all have left at their end.

        One that has left it sees, or does not see, that all was read. If not, it was there before
        that was written down, and the second look finds it.
        """
        first = {rank: self.take(rank) for rank in self.place.here}
        self._file(self.place.here[0], "read").touch()
        second = {rank: self.take(rank) for rank, one in first.items() if one is None}
        return {rank: one for rank, one in {**first, **second}.items() if one is not None}

    def wait(self, what: str, seconds: float) -> list[int]:
        """Wait until all that live have left it, so long at most; those that have not."""
        end = time.monotonic() + seconds
        missing = list(self.place.here)
        while True:
            # In this order: one may leave it, and end, between the two looks.
            coming = set(filter(self._may_come, missing))
            missing = [rank for rank in missing if not self.has(rank, what)]
            over = time.monotonic() > end or not self.place.folder.is_dir()
            if over or coming.isdisjoint(missing):
                return missing
            time.sleep(BETWEEN)

    def _may_come(self, rank: int) -> bool:
        """Whether a process may still leave something: it lives, or has not even started."""
        if not self.has(rank, "here"):
            return time.time() < self._began + LATE
        return self.is_alive(rank)

    def is_alive(self, rank: int) -> bool:
        """Whether a process runs, as far as can be told: one of another host may."""
        told = self.read(rank, "here")
        if told is None:
            return False
        pid = told.get("pid")
        if told.get("host") != platform.node() or not isinstance(pid, int):
            return True
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except ProcessLookupError:
            return False
        except (OSError, IndexError):
            return True
        return state not in "ZX"

    @property
    def is_to_speak(self) -> bool:
        """Whether this one is to speak at its end: it is the first, or the first has died."""
        return self.first or not (self.said() or self.is_alive(self.place.here[0]))

    def claim(self) -> bool:
        """Speak for all at the end; False if somebody else does so already."""
        try:
            os.close(os.open(self._said, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except (FileExistsError, FileNotFoundError):  # or it was taken away, when all was said
            return False
        return True

    @property
    def _said(self) -> Path:
        return self._file(self.place.here[0], "said")

    def said(self) -> bool:
        """Whether somebody has spoken at the end."""
        return self.has(self.place.here[0], "said")

    def close(self, included: Iterable[int]) -> None:
        """Take away what nobody needs any more."""
        for rank in included:
            for what in ("here", "seen", "over"):
                self._file(rank, what).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            if not list(self.place.folder.glob("*.here")):
                for left in self.place.folder.iterdir():
                    left.unlink(missing_ok=True)
                self.place.folder.rmdir()

    def _file(self, rank: int, what: str) -> Path:
        return self.place.folder / f"{rank}.{what}"
