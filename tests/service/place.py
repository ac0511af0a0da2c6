"""A store on disk and what tests do with it; acts of the service under other callers than the owner."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ron_kms.model import Caller, new_uuid
from ron_kms.service.local import LocalKms
from ron_kms.service.operation import Context
from ron_kms.service.pipeline import OPERATIONS
from ron_kms.service.schema import request_of
from ron_kms.service.session import run
from ron_kms.store.database import Database

DIGEST = bytes(range(32))


class Place:
    """Where a store is."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "keys.db"
        self.seal = f"keyfile:{folder}/root.key"

    def open(self, key_slots: int = 64) -> LocalKms:
        return LocalKms(f"sqlite:///{self.database}", seal=self.seal, key_slots=key_slots)

    def edit(self, statement: str, *values: object) -> None:
        """Change the file as someone outside of ron-kms would."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            assert connection.execute(statement, values).rowcount == 1


def act(kms: LocalKms, caller: Caller, name: str, **fields: Any) -> Any:
    """Run an operation for a caller, as the edge would after it has checked scope and body."""
    [operation] = [operation for operation in OPERATIONS if operation.name == name]
    context = Context(caller=caller, request_id=new_uuid())
    return run(operation.act(kms._kms, context, request_of(operation.request, fields)))  # type: ignore[arg-type, type-var]


def caller(tenant: str | None = None, *prefixes: str, token_id: str = "token") -> Caller:
    """A caller narrowed to a tenant and prefixes."""
    return Caller(token_id, frozenset(), tenant, tuple(tuple(prefix.split("/")) for prefix in prefixes))


class Counted:
    """How often the store was asked."""

    reads = 0
    writes = 0


@contextmanager
def counting(kms: LocalKms) -> Iterator[Counted]:
    """Count what is handed to the store's threads meanwhile."""
    counted = Counted()
    caller = threading.current_thread()  # and not the watcher of changes
    database = kms._kms.database
    read, write = database.read, database.write

    def count_read(job: Any) -> Any:
        counted.reads += threading.current_thread() is caller
        return read(job)

    def count_write(job: Any) -> Any:
        counted.writes += 1
        return write(job)

    database.read, database.write = count_read, count_write  # type: ignore[method-assign]
    try:
        yield counted
    finally:
        del database.read, database.write
        assert database.read.__func__ is Database.read  # type: ignore[attr-defined]
