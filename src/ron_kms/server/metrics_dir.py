"""Where the workers' metrics live: in memory, in a private folder of this data folder's own."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import stat
import time
from pathlib import Path
from typing import Self

_SHARED = Path("/dev/shm")  # noqa: S108 - checked below for who owns what
_STARTING_SECONDS = 60.0
"""A folder this young may belong to a supervisor that has not locked it yet."""


class MetricsDirectory:
    """An empty folder, mode 0700, locked for as long as this is open and removed when it is closed.

    The same data folder, which must be locked, has the same one. What killed supervisors of this user have left is
    swept out. Where /dev/shm is missing, or another user has taken the name there, the folder is in the data folder.

    :raises OSError: it can be made nowhere.
    """

    def __init__(self, data_dir: Path) -> None:
        prefix = f"ron-kms-{os.getuid()}-"
        name = prefix + hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
        try:
            self.path = _empty(_SHARED / name)
        except OSError:
            self.path = _empty(data_dir / "metrics")
        self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for other in _SHARED.glob(prefix + "*"):
            if other != self.path:
                with contextlib.suppress(OSError):
                    _sweep(other)

    def close(self) -> None:
        """Once no worker runs any more."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _empty(place: Path) -> Path:
    try:
        status = place.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError
        shutil.rmtree(place)
    place.mkdir(mode=0o700)
    return place


def _sweep(place: Path) -> None:
    """Remove a folder that nobody has locked.

    :raises OSError: it is in use, or not ours.
    """
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid() or time.time() - status.st_mtime < _STARTING_SECONDS:
            return
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(place)
    finally:
        os.close(fd)
