"""The high-water mark: how far a store had come, kept outside of it, so that an older copy put in its place is noticed.

The mark names the newest change that was seen durable, by its number and by the MAC of its row, and is authenticated
under a key derived from the store key. It may lag behind the store, which a crash explains, and never leads. It guards
against mistakes: whoever puts back an older mark together with the older store is not noticed.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from sqlalchemy import Connection, select

from ron_kms._core import SecretKey
from ron_kms.errors import Restored
from ron_kms.root.handle import StoreKeys
from ron_kms.store import changes
from ron_kms.store.rows import Rows
from ron_kms.store.schema import CHANGES

_FORMAT = 1


class _Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    change: int
    tip: str
    seen: datetime
    mac: str = ""

    def signed(self) -> bytes:
        return b"ron-kms/high-water/v1\0" + msgspec.json.encode(msgspec.structs.replace(self, mac=""))


class HighWater:
    """Makes and judges the marks of one store; the marks are text, and where they are kept is the caller's choice."""

    def __init__(self, keys: StoreKeys, rows: Rows) -> None:
        self._key: SecretKey = keys.derive("high-water")
        self._rows = rows

    def mark(self, connection: Connection) -> str:
        """The mark of the store as it is now; for a reader, who sees only what is durable.

        :raises StoreCorrupt: the newest change's row was edited.
        """
        change, tip = self._tip(connection, None)
        mark = _Mark(_FORMAT, change, tip, datetime.now(UTC))
        mark = msgspec.structs.replace(mark, mac=self._key.mac(mark.signed()).hex())
        return msgspec.json.format(msgspec.json.encode(mark), indent=2).decode() + "\n"

    def judge(self, connection: Connection, text: bytes | None) -> None:
        """Compare the store with the mark that was kept last, None where there is none.

        :raises Restored: the store is older than its mark, went another way since, or the mark is not its own.
        :raises StoreCorrupt: a change's row was edited.
        """
        if text is None:
            return
        mark = self._read(text)
        if mark is None:
            raise Restored("the high-water mark is not this store's: another store was put beside it, or it was edited")
        newest = changes.latest(connection, self._rows)
        if newest < mark.change:
            raise Restored(
                f"the store is at change {newest} and was at change {mark.change} on"
                f" {mark.seen:%Y-%m-%d %H:%M:%S} UTC: an older copy was put in its place"
            )
        if mark.change <= changes.pruned(connection, self._rows):
            return  # it has gone on for so long since then that the change itself is not kept any more
        if self._tip(connection, mark.change) != (mark.change, mark.tip):
            raise Restored(
                f"the store's change {mark.change} is not the one that it had: an older copy was put in its place and"
                " used elsewhere"
            )

    def accept(self, connection: Connection, text: bytes | None) -> int | None:
        """Record that the store is to be used although the mark speaks against it; the change's number, or None where
        there is nothing to accept. In a writing transaction, and the caller makes a new mark after its commit."""
        try:
            self.judge(connection, text)
        except Restored:
            mark = self._read(text or b"")
            return changes.record(connection, self._rows, "restore", "unknown" if mark is None else str(mark.change))
        return None

    def release(self) -> None:
        """Wipe the key."""
        self._key.release()

    def _read(self, text: bytes) -> _Mark | None:
        try:
            mark = msgspec.json.decode(text, type=_Mark)
            tag = bytes.fromhex(mark.mac)
        except ValueError:  # of msgspec and of fromhex
            return None
        return mark if mark.format == _FORMAT and self._key.check(mark.signed(), tag) else None

    def _tip(self, connection: Connection, number: int | None) -> tuple[int, str]:
        """The change with this number, or the newest: its number and the MAC of its row."""
        query = select(CHANGES)
        query = query.order_by(CHANGES.c.n.desc()).limit(1) if number is None else query.where(CHANGES.c.n == number)
        row = connection.execute(query).one_or_none()
        if row is None:
            return 0, ""
        return int(self._rows.load(CHANGES, row)["n"]), row.mac.hex()
