"""The folder of one log: who may write to it, and its tiles read back.

lock                       held by the process that writes
keys                       the verifier keys of its checkpoints, for who checks it elsewhere
checkpoint                 the newest one, a signed note
tile/<level>/...           C2SP tlog-tiles, the partial ones of a checkpoint too
tile/entries/...           the records, 256 a bundle
journal/<first index>      what was appended since, group by group
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import Literal

from ron_kms.audit.files import make_folder, put
from ron_kms.audit.journal import FOLDER as JOURNAL
from ron_kms.audit.reading import read_bundle
from ron_kms.audit.source import CHECKPOINT, Folder, read_note, tiles_of
from ron_kms.audit.tiles import path
from ron_kms.disk import sync_path

_LOCK = "lock"


class LogFolder:
    """Where a log is kept.

    Reading needs no lock: files are replaced whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source = Folder(path)
        self._lock = -1

    def exists(self) -> bool:
        """Whether a log is here: it has a checkpoint, or anything else beside its lock."""
        return self.path.is_dir() and any(entry.name != _LOCK for entry in self.path.iterdir())

    def make(self) -> None:
        """:raises OSError: it cannot be made."""
        make_folder(self.path / JOURNAL)

    def lock(self) -> bool:
        """Keep it for this process; False where another has it.

        :raises OSError: the folder cannot be used.
        """
        fd = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self._lock = fd
        return True

    def unlock(self) -> None:
        fd, self._lock = self._lock, -1
        if fd >= 0:
            os.close(fd)

    @property
    def journal(self) -> Path:
        return self.path / JOURNAL

    def checkpoint(self) -> bytes | None:
        """The newest checkpoint as it was signed; None where there is none.

        :raises OSError: it cannot be read.
        """
        return read_note(self._source)

    def put_checkpoint(self, note: bytes) -> None:
        """:raises OSError: it cannot be written."""
        put(self.path, CHECKPOINT, note)

    def tile(self, level: int, number: int, width: int) -> bytes:
        """The hashes of a tile, joined; a partial one may be read out of what has followed it.

        :raises Malformed: it is missing or has another size.
        :raises OSError: it cannot be read.
        """
        return tiles_of(self._source)(level, number, width)

    def records(self, number: int, width: int) -> list[bytes]:
        """The records of a bundle; a partial one may be read out of what has followed it.

        :raises Malformed: it is missing, or not such a bundle.
        :raises OSError: it cannot be read.
        """
        return read_bundle(self._source, number, width)

    def remove_partial(self, level: int | Literal["entries"], index: int) -> None:
        """Take away what has come before a full tile.

        :raises OSError: it cannot be removed.
        """
        shutil.rmtree(self.path / f"{path(level, index)}.p", ignore_errors=True)


def sync_parent(folder: LogFolder) -> None:
    """Have the folder's own name on the disk."""
    sync_path(folder.path.parent)
