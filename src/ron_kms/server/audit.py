"""A worker's audit log, as the settings say."""

from __future__ import annotations

from pathlib import Path

from ron_kms.audit.copying import Copying
from ron_kms.audit.note import MAX_NOTE
from ron_kms.audit.registry import Node, Trail, open_trail
from ron_kms.audit.standing import Standing
from ron_kms.audit.watching import Silent, Watcher
from ron_kms.config import Settings
from ron_kms.errors import ConfigurationError, StoreUnavailable
from ron_kms.service.kms import AuditSettings
from ron_kms.store.audit import load_logs
from ron_kms.store.bootstrap import Store

FOLDER = "audit"


def audit_folder(settings: Settings) -> Path:
    """Where the logs of this node are."""
    return settings.data_dir / FOLDER


def node_of(store: Store, settings: Settings) -> Node:
    """This node; where no name is given, by that of the newest log that a worker of it has begun in the store.

    :raises StoreCorrupt: a row was edited or taken out.
    """
    logs = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
    newest = max((log for log in logs if log.slot.isdecimal()), key=lambda log: log.created, default=None)
    return Node.at(audit_folder(settings), settings.node, newest.node if newest is not None else "")


def standing_of(store: Store, settings: Settings) -> Standing:
    """The logs of this node, and their store."""
    return Standing(store, node_of(store, settings))


def copying_of(settings: Settings) -> Copying:
    """For backups of this node's logs."""
    return Copying(audit_folder(settings))


def expected_checkpoint(settings: Settings) -> bytes | None:
    """:raises ConfigurationError: it cannot be read."""
    path = settings.expect_checkpoint
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return file.read(MAX_NOTE + 1)
    except OSError as error:
        raise ConfigurationError(f"the expected checkpoint {path} cannot be read: {error.strerror}") from None


def finish_others(store: Store, settings: Settings) -> None:
    """Bring the logs that no worker writes any more, or that a session of the library has left, to an end: what waits
    for them is appended, and a last checkpoint signed.

    :raises KmsError: the store or a log cannot be read.
    """
    node = node_of(store, settings)
    logs = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
    workers = {str(number) for number in range(settings.workers)}
    for log in logs:
        if log.node == node.name and log.closed is None and log.slot not in workers:
            trail = open_trail(store, node, log.slot, Silent())
            if trail is not None:
                trail.close()


def open_worker_trail(store: Store, settings: Settings, slot: int, watcher: Watcher) -> Trail | None:
    """The log of a worker; None in amnesia, which keeps it in memory.

    :raises StoreUnavailable: another process writes it, or it cannot be opened.
    """
    if settings.amnesia:
        return None
    trail = open_trail(store, node_of(store, settings), str(slot), watcher)
    if trail is None:
        raise StoreUnavailable(f"the audit log of worker {slot} is written by another process", retry_after=1)
    return trail


def auditing_of(settings: Settings) -> AuditSettings:
    """What the settings say about answers and their records."""
    return AuditSettings(settings.audit_private, settings.audit_verify)  # type: ignore[arg-type] # checked there
