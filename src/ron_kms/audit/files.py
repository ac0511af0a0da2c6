"""Files of a log: whole or not there, and on the disk when it is said so."""

from __future__ import annotations

import os
from pathlib import Path

from ron_kms.disk import sync_path

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


def put(folder: Path, name: str, data: bytes) -> None:
    """Write a file below a log's folder in the place of the one that may be there; on the disk when this returns.

    :param name: relative path; the folders in it are made. For one thread a log.
    :raises OSError: it cannot be written, and what was there is there still.
    """
    target = folder / name
    make_folder(target.parent)
    fresh = target.with_name(f".{target.name}")
    fd = os.open(fresh, _CREATE, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(target)
    sync_path(target.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it is in, each on the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_path(folder.parent)
