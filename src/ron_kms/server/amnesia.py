"""The folder of a service in amnesia: in memory, for one run."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import time
from pathlib import Path

from ron_kms.config.amnesia import prefix
from ron_kms.errors import ConfigurationError
from ron_kms.server.data_dir import LOCK, DataDirectory

_MOUNTS = Path("/proc/self/mountinfo")
_STARTING_SECONDS = 60.0
"""A folder this young may belong to a service that has not locked it yet."""


class MemoryDirectory(DataDirectory):
    """An empty data folder on a file system that is memory, removed when it is closed.

    What killed services of this user have left beside it is removed too; their root keys went with them.

    :raises ConfigurationError: there is no such file system, or the folder is another user's or in use.
    """

    def __init__(self, path: Path) -> None:
        _require_memory(path.parent)
        try:
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=0o700)
            status = path.lstat()
        except OSError as error:
            raise ConfigurationError(f"amnesia needs a folder in {path.parent}: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise ConfigurationError(f"{path} is not a folder of this user, and amnesia needs its place")
        super().__init__(path)
        for old in path.iterdir():
            if old.name != LOCK:
                _remove(old)
        for other in path.parent.glob(prefix() + "*"):
            if other != path:
                with contextlib.suppress(OSError):
                    _sweep(other)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        super().close()


def _require_memory(folder: Path) -> None:
    if not folder.is_dir():
        raise ConfigurationError(f"amnesia needs {folder}, which is not there", hint="Mount a tmpfs there.")
    real = folder.resolve()
    mounts = [line.split() for line in _MOUNTS.read_text().splitlines()]
    # Fields of proc_pid_mountinfo(5): the mount point is the fifth, the type the first after a lone dash.
    kinds = {Path(fields[4]): fields[fields.index("-") + 1] for fields in mounts}
    mount = next(place for place in (real, *real.parents) if place in kinds)
    if kinds[mount] not in ("tmpfs", "ramfs"):
        raise ConfigurationError(f"amnesia needs memory at {folder}, which is on a disk", hint="Mount a tmpfs there.")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _sweep(folder: Path) -> None:
    """Remove a folder that no service has locked.

    :raises OSError: it is in use, or not ours.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    if time.time() - status.st_mtime < _STARTING_SECONDS:
        return
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(fd)


def folder_of(path: Path, *, amnesia: bool) -> DataDirectory:
    """The data folder, locked."""
    return MemoryDirectory(path) if amnesia else DataDirectory(path)
