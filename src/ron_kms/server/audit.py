"""A worker's audit log, as the settings say."""

from __future__ import annotations

from pathlib import Path

from ron_kms.audit.log import Watcher
from ron_kms.audit.registry import Node, Trail, open_trail
from ron_kms.config import Settings
from ron_kms.errors import StoreUnavailable
from ron_kms.service.kms import AuditSettings
from ron_kms.store.bootstrap import Store

FOLDER = "audit"


def audit_folder(settings: Settings) -> Path:
    """Where the logs of this node are."""
    return settings.data_dir / FOLDER


def open_worker_trail(store: Store, settings: Settings, slot: int, watcher: Watcher) -> Trail | None:
    """The log of a worker; None in amnesia, which keeps it in memory.

    :raises StoreUnavailable: another process writes it, or it cannot be opened.
    """
    if settings.amnesia:
        return None
    trail = open_trail(store, Node.at(audit_folder(settings), settings.node), str(slot), watcher)
    if trail is None:
        raise StoreUnavailable(f"the audit log of worker {slot} is written by another process", retry_after=1)
    return trail


def auditing_of(settings: Settings) -> AuditSettings:
    """What the settings say about answers and their records."""
    return AuditSettings(settings.audit_private, settings.audit_verify)  # type: ignore[arg-type] # checked there
