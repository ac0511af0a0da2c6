"""What outlives a crash."""

from __future__ import annotations

import os
from pathlib import Path


def sync_path(path: Path) -> None:
    """Have a file's content on the disk, or the names in a folder: what was made, linked, renamed or removed there.

    :raises OSError: it is not.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
