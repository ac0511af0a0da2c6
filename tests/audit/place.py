"""A store with the folder of its audit logs, and records to put into them."""

from __future__ import annotations

import os
from pathlib import Path

from ron_kms.audit.folder import LogFolder
from ron_kms.audit.keeper import Pace
from ron_kms.audit.record import Record, encode
from ron_kms.audit.registry import Node, Trail, open_trail
from ron_kms.store.bootstrap import Store, open_store

SLOW = Pace(head=3600, checkpoint=3600, records=1 << 40, scrub=3600)
"""Nothing is done but at the end."""
QUICK = Pace(head=0.02, checkpoint=0.05, records=300, scrub=0.01)
BRISK = Pace(head=0.05, checkpoint=0.2, records=1 << 40, scrub=0.1)
"""As in a service, faster."""


class Told:
    """What a log has told."""

    def __init__(self) -> None:
        self.records = self.checkpoints = 0
        self.damage: list[str] = []

    def appended(self, records: int) -> None:
        self.records += records

    def checkpointed(self) -> None:
        self.checkpoints += 1

    def damaged(self, cause: str) -> None:
        self.damage.append(cause)


class Place:
    """A folder with a store, its root key and its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told = Told()

    @property
    def audit(self) -> Path:
        return self.folder / "audit"

    def store(self) -> Store:
        return open_store(f"sqlite:///{self.folder}/ron-kms.db", f"keyfile:{self.folder}/root.key")

    def open(self, store: Store, slot: str = "0", pace: Pace = SLOW) -> Trail:
        trail = open_trail(store, Node.at(self.audit, "here"), slot, self.told, pace=pace)
        assert trail is not None
        return trail

    def log(self, slot: str = "0") -> LogFolder:
        return LogFolder(self.audit / slot)


def record(number: int) -> bytes:
    """A record like no other."""
    return encode(
        Record(
            op_id=None,
            request_id=f"request-{number}",
            tenant="acme",
            actor="token",
            kid="acme/audit/0190a6c4-0000-7000-8000-000000000000#v1",
            operation="sign",
            suite="ed25519",
            digest=number.to_bytes(32, "big"),
            time=number,
            result="ok",
            reason=None,
            attestation="none",
            count=1,
            failures=0,
        )
    )


def records(first: int, count: int) -> list[bytes]:
    return [record(number) for number in range(first, first + count)]


def crash(trail: Trail) -> None:
    """Leave everything as a killed process leaves it: what it has not done is not done, and its lock is gone."""
    trail.log.folder.unlock()


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {os.fspath(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
