"""From a store and a folder to the open log of one slot.

The folder of all logs holds the name of this node, a file ``node``, and one folder a log.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from ron_kms.audit.checkpoint import Checkpoint, sign
from ron_kms.audit.files import make_folder, put
from ron_kms.audit.folder import LogFolder
from ron_kms.audit.journal import cut_off
from ron_kms.audit.keeper import Pace
from ron_kms.audit.keys import keys_of, new_log, signers_of
from ron_kms.audit.log import Log
from ron_kms.audit.note import NoteKey, format_keys
from ron_kms.audit.outbox import Outbox
from ron_kms.audit.recovery import Ahead, Damaged, Head, recover, unknown
from ron_kms.audit.source import KEYS, read_file
from ron_kms.audit.tree import EMPTY_ROOT
from ron_kms.audit.watching import Watcher
from ron_kms.errors import ConfigurationError, Restored, StoreUnavailable
from ron_kms.store import audit as registered
from ron_kms.store.audit import AuditLog
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection

NODE = "node"
SESSIONS = 256
"""Of the library at the same time, in one folder of logs."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


_log = logging.getLogger(__name__)


class Node(NamedTuple):
    """Where this node keeps its logs, and its name in their origins."""

    folder: Path
    name: str

    @classmethod
    def at(cls, folder: Path, name: str = "", known: str = "") -> Node:
        """:param name: where none is given it is kept in the folder, at first a random one.
        :param known: what the store knows it as, which the one in the folder follows: that could be lost with the logs,
            and under another name they would not be missed.

        :raises ConfigurationError: the name cannot be one, or the folder cannot be used.
        """
        try:
            make_folder(folder)
            if not name:
                kept = _kept(folder)
                name = known or kept or secrets.token_hex(4)
                if name != kept:
                    put(folder, NODE, f"{name}\n".encode())
        except OSError as error:
            raise ConfigurationError(f"the audit logs' folder {folder} cannot be used: {error.strerror}") from None
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(f"the name of this node cannot be one: {_NAME.pattern}")
        return cls(folder, name)


def _kept(folder: Path) -> str:
    try:
        return (folder / NODE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return ""


class Trail:
    """The open log of a slot together with its outbox: what the service writes to.

    :ivar log: it.
    :ivar node: where it and others are.
    """

    def __init__(self, log: Log, outbox: Outbox, node: Node, store: Store) -> None:
        self.log = log
        self.node = node
        self._store = store
        self.require = log.require
        """Raises StoreUnavailable where nothing can be recorded now."""
        self.append = log.append
        self.append_async = log.append_async
        self.trail = log.trail
        self.put = outbox.put
        self.deliver = outbox.deliver

    @property
    def fault(self) -> str:
        """Why nothing can be recorded now; empty where it can."""
        return self.log.fault

    @property
    def recent(self) -> bool:
        """Whether the newest checkpoint is."""
        return self.log.recent

    @property
    def depth(self) -> int:
        """Appends that wait to be written."""
        return self.log.depth

    def look_beside(self) -> None:
        """Take nothing any more where another log of this node fails its check.

        :raises StoreCorrupt, StoreUnavailable: that cannot be known.
        """
        cause = _beside(self._store, self.node, self.log.origin)
        if cause:
            self.log.refuse(cause)

    def close(self) -> bool:
        """Write what was handed in, with a last head and checkpoint; whether all of it is there."""
        return self.log.close()


def open_trail(store: Store, node: Node, slot: str, watcher: Watcher, *, pace: Pace | None = None) -> Trail | None:
    """The log of a slot, made where there is none yet; None where another process writes it.

    Records that wait for it are in it when this returns. A log that fails its check is opened, too: it says so, and
    takes nothing.

    :raises StoreCorrupt, StoreUnavailable: as reading the store says it; the second also where the folder fails.
    :raises Restored: there is a log that the store does not know of.
    """
    try:
        return _Opening(store, node, slot, watcher, pace).open()
    except OSError as error:
        raise StoreUnavailable(f"the audit log of slot {slot} cannot be opened: {error.strerror}") from None


def open_session(store: Store, node: Node, watcher: Watcher) -> Trail:
    """A log for a session of the library: the first that no other session writes.

    :raises StoreUnavailable: as :func:`open_trail`, or there are too many sessions.
    """
    for number in range(1, SESSIONS + 1):
        trail = open_trail(store, node, f"local-{number}", watcher)
        if trail is not None:
            return trail
    raise StoreUnavailable("every audit log for sessions of the library is in use", retry_after=1)


class _Opening:
    def __init__(self, store: Store, node: Node, slot: str, watcher: Watcher, pace: Pace | None) -> None:
        self._store = store
        self._node = node
        self._slot = slot
        self._watcher = watcher
        self._pace = pace

    def open(self) -> Trail | None:
        while True:
            log, folder = self._find()
            # A folder that was registered and is missing stays so: it is a loss, and not to be made anew.
            if log is None:
                folder.make()
            if folder.path.is_dir() and not folder.lock():
                return None
            try:
                if self._find()[0] == log:
                    return self._opened(self._made(folder) if log is None else log, folder)
            except BaseException:
                folder.unlock()
                raise
            # Another process had the lock meanwhile, and has made the log or changed what is known of it.
            folder.unlock()

    def _find(self) -> tuple[AuditLog | None, LogFolder]:
        """The slot's log as it is registered, if it is, and its folder."""
        logs = self._store.database.read(lambda connection: registered.load_logs(connection, self._store.rows)).result()
        mine = [log for log in logs if (log.node, log.slot) == (self._node.name, self._slot)]
        log = next((log for log in mine if log.closed is None), None)
        name = log.folder if log else f"{self._slot}-{len(mine) + 1}" if mine else self._slot
        return log, LogFolder(self._node.folder / name)

    def _made(self, folder: LogFolder) -> AuditLog:
        """First its folder is on the disk, then its row, so that a row without a folder is always a loss."""
        if unknown(folder):
            raise Restored(f"there is a log at {folder.path} that the store does not know: the store is an older copy")
        rows = self._store.rows

        def write(connection: Connection) -> AuditLog:
            origin = "/".join((registered.deployment(connection, rows), self._node.name, folder.path.name))
            now = datetime.now(UTC)
            log, signers = new_log(self._store.keys, origin, self._node.name, self._slot, folder.path.name, now)
            put(folder.path, KEYS, format_keys(signer.key for signer in signers))
            folder.put_checkpoint(sign(Checkpoint(origin, 0, EMPTY_ROOT), signers, int(now.timestamp())))
            registered.register_log(connection, rows, log, EMPTY_ROOT)
            return log

        return self._store.database.write(write).result()

    def _opened(self, log: AuditLog, folder: LogFolder) -> Trail:
        rows, read = self._store.rows, self._store.database.read
        head = Head(*read(lambda connection: registered.load_head(connection, rows, log.origin)).result())
        outbox = Outbox(self._store, log.origin, self._watcher)
        damage, found = log.damage or _beside(self._store, self._node, log.origin), None
        if not damage:
            try:
                found = recover(folder, log.origin, keys_of(log), head)
            except Ahead as error:  # until another store is put there, or this one is accepted
                damage = error.message
            except Damaged as error:
                damage = error.message
                outbox.note(damage).exception()  # told there, and found again at the next start
        if found is not None:
            _publish(folder, keys_of(log))
        if damage:
            _log.error("audit integrity failure: %s", damage)
            self._watcher.damaged(damage)
        elif found is not None and found.cut:
            cut_off(folder.journal)
            _log.warning(
                "the audit log %s had a torn end of %d bytes that no one was told of: cut", log.origin, found.cut
            )
        opened = Log(
            folder,
            log.origin,
            signers_of(self._store.keys, log),
            found=found,
            head=head,
            save=outbox.save,
            watcher=outbox,
            damage=damage,
            pace=self._pace,
        )
        if found is not None:
            outbox.drain(opened, found.since)
        return Trail(opened, outbox, self._node, self._store)


def _beside(store: Store, node: Node, origin: str) -> str:
    """What is wrong with other logs of this node, as far as it is seen from here: then this one stops, too."""
    logs = store.database.read(lambda connection: registered.load_logs(connection, store.rows)).result()
    for other in logs:
        if other.node != node.name or other.closed is not None or other.origin == origin:
            continue
        if other.damage:
            return other.damage
        if not (node.folder / other.folder).is_dir():
            return f"the log {other.origin} is missing: there is nothing at {node.folder / other.folder}"
    return ""


def _publish(folder: LogFolder, keys: Sequence[NoteKey]) -> None:
    """Have the log's verifier keys beside it, for whoever checks it."""
    data = format_keys(keys)
    if read_file(folder.path / KEYS, len(data)) != data:
        put(folder.path, KEYS, data)
