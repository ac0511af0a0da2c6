"""The audit log: what a record costs until it is with the kernel, and in the tree."""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from perf.micro.cells import Cell
from perf.micro.parts.calls import Calls
from ron_kms.audit.journal import Journal
from ron_kms.audit.record import Record, encode
from ron_kms.audit.tree import Frontier, leaf_hash
from ron_kms.custody.attestation import SOFTWARE
from ron_kms.model import Kid, new_uuid


def append(cell: Cell) -> Calls:
    """So many records of signatures as one group: encoded, written to a file of a journal, hashed into the tree; no
    sync. Floor: a hash of each and a write of all."""
    folder = TemporaryDirectory(prefix="ron-kms-micro-")
    atexit.register(folder.cleanup)
    writer = _Writer(Path(folder.name))
    kid, actor = str(Kid("bench", "micro", new_uuid()).at(1)), new_uuid()
    digest = os.urandom(32)
    plain = [encode(_record(kid, actor, digest)) for _ in range(cell.batch)]
    return Calls([partial(writer.append, kid, actor, digest, cell.batch)], [partial(writer.floor, plain)])


class _Writer:
    def __init__(self, folder: Path) -> None:
        self._journal = Journal(folder, 0)
        self._tree = Frontier()
        self._plain = os.open(folder / "plain", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)

    def append(self, kid: str, actor: str, digest: bytes, count: int) -> None:
        records = [encode(_record(kid, actor, digest)) for _ in range(count)]
        data = self._journal.encode(self._journal.end, records)
        self._journal.write(data, sync=False)
        self._journal.took(data, len(records))
        self._tree.append([leaf_hash(record) for record in records])
        if self._journal.full:
            self._journal.rotate()
            self._journal.drop(self._journal.end)

    def floor(self, records: Sequence[bytes]) -> list[bytes]:
        os.pwrite(self._plain, b"".join(records), 0)
        return [sha256(record).digest() for record in records]


def _record(kid: str, actor: str, digest: bytes) -> Record:
    now = time.time_ns() // 1000
    return Record(
        None, new_uuid(), "bench", actor, kid, "sign", "ed25519", digest, now, "ok", None, SOFTWARE.kind, 1, 0
    )
