"""A copy of a node's logs that fits a copy of the store which is made meanwhile, while both are written.

Checkpoints come first: what they say was in the store before. Everything else comes after the store: what the store
knows was on the disk before. The journal comes before the bundles, which have what goes from it.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ron_kms.audit.journal import FOLDER as JOURNAL
from ron_kms.audit.registry import NODE
from ron_kms.audit.source import CHECKPOINT, KEYS, MINIMUM

LOGS = "audit"


class Copying:
    """:param source: the folder of all logs; it may not be there."""

    def __init__(self, source: Path) -> None:
        self._source = source

    def before(self, target: Path) -> None:
        """Before the store is copied.

        :param target: the folder of the backup.
        :raises OSError: something cannot be read or written.
        """
        for log in self._logs():
            _copy(log / CHECKPOINT, target / LOGS / log.name / CHECKPOINT)
            _copy(log / KEYS, target / LOGS / log.name / KEYS)
        _copy(self._source / NODE, target / LOGS / NODE)

    def after(self, target: Path) -> None:
        """After it was copied.

        :raises OSError: as above.
        """
        for log in self._logs():
            copy = target / LOGS / log.name
            if not (copy / CHECKPOINT).exists():
                continue  # made meanwhile: the copy of the store does not know it
            (copy / JOURNAL).mkdir(mode=0o700)
            for part in (JOURNAL, "tile"):
                for path in sorted((log / part).rglob("*")):
                    if path.name.startswith(".") or _copy(path, copy / path.relative_to(log)):
                        continue
                    # A partial tile goes when it is followed by a full one, which may have come since it was looked.
                    full = path.parent.with_suffix("")
                    if full != path.parent and not (copy / full.relative_to(log)).exists():
                        _copy(full, copy / full.relative_to(log))
            _copy(log / MINIMUM, copy / MINIMUM)

    def _logs(self) -> Iterator[Path]:
        if self._source.is_dir():
            yield from (path for path in sorted(self._source.iterdir()) if path.is_dir())


def _copy(path: Path, target: Path) -> bool:
    """Copy a file; whether it is there still, or is a folder."""
    if path.is_dir():
        return True
    with contextlib.suppress(FileNotFoundError), path.open("rb") as source:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with target.open("xb") as copy:
            target.chmod(0o600)
            shutil.copyfileobj(source, copy)
        return True
    return False
