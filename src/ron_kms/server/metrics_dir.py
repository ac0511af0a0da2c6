"""Where the workers' metrics live: in memory, in a folder of this data folder's own."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

_SHARED = Path("/dev/shm")  # noqa: S108 - checked below for who owns what


def make(data_dir: Path) -> Path:
    """An empty private folder, the same one for the same data folder, so that crashes leave at most one behind.

    The data folder must be locked. Where /dev/shm is missing, or another user has taken the name there, it is in the
    data folder.
    """
    name = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
    for place in (_SHARED / f"ron-kms-{os.getuid()}-{name}", data_dir / "metrics"):
        try:
            _empty(place)
        except OSError:
            continue
        return place
    raise OSError(f"no folder for metrics can be made in {data_dir}")


def _empty(place: Path) -> None:
    try:
        status = place.lstat()
    except FileNotFoundError:
        pass
    else:
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise PermissionError
        shutil.rmtree(place)
    place.mkdir(mode=0o700)


def remove(place: Path) -> None:
    """Once no worker runs any more."""
    shutil.rmtree(place, ignore_errors=True)
