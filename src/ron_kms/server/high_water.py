"""The high-water mark in the data folder: judged before anything is served, and kept up while the service runs."""

from __future__ import annotations

import asyncio

import structlog

from ron_kms.audit.offline import note
from ron_kms.audit.standing import Standing
from ron_kms.errors import ConfigurationError, KmsError
from ron_kms.server.data_dir import DataDirectory
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection
from ron_kms.store.high_water import HighWater

MARK = "high-water.json"
_SECONDS = 1.0
_MOST_BYTES = 4096

log = structlog.get_logger("ron_kms.high_water")


class Keeper:
    """Keeps the mark of an attached store, which must stay open as long as this is used.

    :param standing: of the audit logs beside it, which tell older copies, too; None where there are none.
    """

    def __init__(self, store: Store, directory: DataDirectory, standing: Standing | None = None) -> None:
        self._store = store
        self._directory = directory
        self._standing = standing
        self._marks = HighWater(store.keys, store.rows)
        self._kept = -1
        self._failing = False

    def check(self, expected: bytes | None = None) -> None:
        """:raises Restored: an older copy of the store was put in its place.

        :param expected: a checkpoint that the audit logs must contain.
        :raises KmsError: the store or a log cannot be read.
        """
        text = self._directory.read(MARK, _MOST_BYTES)
        if text is None and self._newest():
            log.warning("no high-water mark is beside the store: whether it is an older copy cannot be told")
        self._store.database.read(lambda connection: self._marks.judge(connection, text)).result()
        if self._standing is not None:
            try:
                self._standing.check(expected)
            except OSError as error:
                raise ConfigurationError(f"the audit logs cannot be read: {error.strerror}") from None

    def accept(self) -> int | None:
        """Record that the store is to be used although it is an older copy; None where it is not one.

        A crash between the two steps leaves the mark as it was: the store is still refused, and accepted by doing this
        again.
        """
        text = self._directory.read(MARK, _MOST_BYTES)
        number = self._store.database.write(lambda connection: self._accept(connection, text)).result()
        if number is not None:
            self.update()
        return number

    def _accept(self, connection: Connection, text: bytes | None) -> int | None:
        rows = self._store.rows
        number = self._marks.accept(connection, text)
        logs = [] if self._standing is None else self._standing.accept(connection)
        if number is None and logs:
            number = changes.record(connection, rows, "restore", "unknown")
        if number is not None:
            note(connection, rows, "accept-restore", " ".join([f"change {number}", *logs]))
        return number

    def update(self) -> None:
        """Bring the mark up to the newest change.

        :raises KmsError: the store cannot be read.
        :raises OSError: the mark cannot be written.
        """
        newest = self._newest()
        if newest != self._kept:
            self._directory.replace(MARK, self._store.database.read(self._marks.mark).result())
            self._kept = newest

    async def keep(self) -> None:
        """Update every second until cancelled; while it fails the mark lags, which is told once."""
        while True:
            await asyncio.sleep(_SECONDS)
            await asyncio.to_thread(self.try_update)

    def try_update(self) -> None:
        """Update, or tell the log why not."""
        try:
            self.update()
        except (KmsError, OSError) as error:
            if not self._failing:
                log.warning("the high-water mark cannot be kept up", error=type(error).__name__)
            self._failing = True
        else:
            self._failing = False

    def release(self) -> None:
        """Wipe the key."""
        self._marks.release()

    def _newest(self) -> int:
        return self._store.database.read(lambda connection: changes.latest(connection, self._store.rows)).result()
