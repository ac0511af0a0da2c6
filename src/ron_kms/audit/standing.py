"""How the logs of a node stand to their store: which is newer, which is lost, and what to do about either.

A store that was put back from a backup is older than the logs beside it: their checkpoints say more than it knows, for
none is signed before its head is in the store. It is used again only once that is accepted. A log that was lost or
changed is set aside once that is accepted, as it is; another takes its place.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from ron_kms.audit import offline
from ron_kms.audit.checkpoint import verify
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.keys import keys_of
from ron_kms.audit.recovery import Ahead, Damaged, Head, read_checkpoint, recover, root_at, unknown
from ron_kms.audit.registry import Node
from ron_kms.disk import sync_path
from ron_kms.errors import ConfigurationError, Malformed, Restored
from ron_kms.store import audit as registered
from ron_kms.store import outbox
from ron_kms.store.audit import AuditLog
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection


class Accepted(NamedTuple):
    """A log that is not gone on with, and why."""

    origin: str
    cause: str


class Standing:
    """The logs of one node and their store; while no service writes to them, or before it does."""

    def __init__(self, store: Store, node: Node) -> None:
        self._store = store
        self._node = node

    def check(self, expected: bytes | None = None) -> None:
        """Compare the store with the logs beside it, by their checkpoints. What is wrong with a log alone is not looked
        at: whoever opens it finds that.

        :param expected: a checkpoint that somebody has kept, which its log must contain.
        :raises Restored: the store is older than a log, or a log than what is expected.
        :raises ConfigurationError: there are logs of this store that this node has begun under another name.
        :raises OSError: a log cannot be read.
        """
        for log, folder in self._logs():
            size = _signed_size(log, folder)
            if size > self._head(log).size:
                raise Restored(
                    f"the audit log {log.origin} has {size} records and the store knows of {self._head(log).size}: an"
                    " older copy of the store was put in its place"
                )
        for folder in self._unknown():
            self._recognise(folder)
            raise Restored(
                f"there is an audit log at {folder.path} that the store does not know: an older copy of the store was"
                " put in its place"
            )
        if expected is not None:
            self._expect(expected)

    def accept(self, connection: Connection) -> list[str]:
        """Have the store know of what the logs beside it have; in the writing transaction that accepts the store.

        :returns: which logs, by origin or folder. Those that the store has never known are moved aside.
        :raises ConfigurationError: as :meth:`check`.
        :raises OSError: a log cannot be read or moved.
        """
        taken = []
        rows = self._store.rows
        for log, folder in self._logs():
            try:
                checkpoint = read_checkpoint(folder, log.origin, keys_of(log))
                head = Head(*registered.load_head(connection, rows, log.origin))
                if checkpoint.size <= head.size or root_at(folder, head.size, checkpoint.size) != head.root:
                    continue
            except Damaged:
                continue
            registered.save_head(connection, rows, log.origin, checkpoint.size, checkpoint.root, datetime.now(UTC))
            taken.append(log.origin)
        for folder in self._unknown():
            self._recognise(folder)
            aside = folder.path.with_name(f"{folder.path.name}.unknown-{secrets.token_hex(4)}")
            folder.path.rename(aside)
            sync_path(self._node.folder)
            taken.append(aside.name)
        return taken

    def accept_gap(self) -> list[Accepted]:
        """Close the logs that fail their check. Their files stay as they are; another log begins at the next start, and
        has a record of this, with the size and the root that the closed one had had.

        :raises ConfigurationError: the store is older than a log, which is not a gap; or a session of the library still
            writes one.
        :raises OSError: a log cannot be read.
        """
        with contextlib.ExitStack() as locked:
            for log, folder in self._logs():
                # What is being written looks changed to whoever reads it without the lock.
                if folder.path.is_dir() and not folder.lock():
                    raise ConfigurationError(f"the audit log {log.origin} is written by another process: end it first")
                locked.callback(folder.unlock)
            return self._accept_gap()

    def _accept_gap(self) -> list[Accepted]:
        accepted = []
        for log, folder in self._logs():
            cause = log.damage or ""
            head = self._head(log)
            if not cause:
                try:
                    recover(folder, log.origin, keys_of(log), head)
                    continue
                except Ahead as error:
                    raise ConfigurationError(error.message, hint="See: ron-kms restore accept.") from None
                except Damaged as error:
                    cause = error.message
            self._close(log, head, cause)
            accepted.append(Accepted(log.origin, cause))
        return accepted

    def _close(self, log: AuditLog, head: Head, cause: str) -> None:
        rows = self._store.rows

        def write(connection: Connection) -> None:
            registered.note_damage(connection, rows, log.origin, cause)
            registered.close_log(connection, rows, log.origin, datetime.now(UTC))
            outbox.release(connection, rows, log.origin)
            told = f"{log.origin}: {cause}"
            offline.note(connection, rows, "accept-gap", told, digest=head.root, count=head.size)

        self._store.database.write(write).result()

    def _expect(self, note: bytes) -> None:
        for log, folder in self._logs():
            try:
                checkpoint = verify(note, keys_of(log)).checkpoint
            except Malformed:
                continue
            try:
                now = _signed_size(log, folder)
                holds = now >= checkpoint.size and root_at(folder, checkpoint.size, now) == checkpoint.root
            except Damaged:
                holds = False
            if not holds:
                raise Restored(
                    f"the audit log {log.origin} is not the one that has signed the expected checkpoint of"
                    f" {checkpoint.size} records, or an older copy of it"
                )
            return
        raise Restored("no audit log of this store has signed the expected checkpoint")

    def _logs(self) -> Iterator[tuple[AuditLog, LogFolder]]:
        for log in self._all():
            if log.node == self._node.name and log.closed is None:
                yield log, LogFolder(self._node.folder / log.folder)

    def _unknown(self) -> Iterator[LogFolder]:
        """Folders of logs that the store has never registered."""
        folders = [LogFolder(path) for path in sorted(self._node.folder.iterdir()) if path.is_dir()]
        filled = [folder for folder in folders if ".unknown-" not in folder.path.name and unknown(folder)]
        # Asked for after that: a log is registered before it has a record, and another process may just begin one.
        known = {log.folder for log in self._all() if log.node == self._node.name}
        yield from (folder for folder in filled if folder.path.name not in known)

    def _recognise(self, folder: LogFolder) -> None:
        """:raises ConfigurationError: the store does know a log, and by its signatures it is this one."""
        for log in self._all():
            if log.node != self._node.name and log.folder == folder.path.name and _signed_size(log, folder):
                raise ConfigurationError(
                    f"the audit logs in {self._node.folder} are those of the node {log.node}, and this node's name is"
                    f" {self._node.name}",
                    hint=f"Give it its name back: KMS_NODE={log.node}. A node keeps its name for as long as its store.",
                )

    def _all(self) -> list[AuditLog]:
        read = self._store.database.read
        return read(lambda connection: registered.load_logs(connection, self._store.rows)).result()

    def _head(self, log: AuditLog) -> Head:
        read = self._store.database.read
        return Head(*read(lambda connection: registered.load_head(connection, self._store.rows, log.origin)).result())


def _signed_size(log: AuditLog, folder: LogFolder) -> int:
    """How many records its checkpoint says that it has; 0 where it says nothing that can be trusted."""
    try:
        return read_checkpoint(folder, log.origin, keys_of(log)).size
    except Damaged:
        return 0
