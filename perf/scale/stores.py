"""Stores with many keys, filled once and copied for every run.

Rows are those that the store itself writes for new keys, thousands in one transaction. Keys differ in everything but
the private key, which is one for all: making a key costs more than storing it, and what is measured here does not see
the difference. Names follow from a key's number, so that nobody has to keep a list of a million.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, Insert, Table

import ron_kms
from perf.record import RESULTS
from ron_kms import _core
from ron_kms.crypto.framing import blob_ad
from ron_kms.crypto.suites import SUITES
from ron_kms.model import Key, Kid, Version
from ron_kms.service.local import LocalKms
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store, open_store
from ron_kms.store.keys import _key_row, _version_row
from ron_kms.store.schema import CHANGES, KEY_VERSIONS, KEYS

CACHE = RESULTS / "stores"
"""Where filled stores are kept for the next run; git ignores it."""

FORM = 1
"""Of what is filled in; counts up when that changes."""

SUITE = "ed25519"
PURPOSE = "scale"
_AT_ONCE = 5_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CREATED = datetime(2026, 1, 1, tzinfo=UTC)
_PAGES = "PRAGMA cache_size = -262144"
"""256 MiB, so that a transaction of thousands of keys is not written to the log piece by piece."""


class Filling(NamedTuple):
    """What a store holds: ``keys`` Ed25519 keys of ``tenants`` tenants in turn."""

    keys: int
    tenants: int

    def kid(self, number: int) -> str:
        """The name of a key, without a version."""
        return str(_kid(self, number).at(None))

    @property
    def folder(self) -> str:
        return f"{SUITE}-{self.keys}-of-{self.tenants}-{FORM}"


class Place(NamedTuple):
    """A store of its own that a run may change."""

    folder: Path
    filling: Filling

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder}/keys.db"

    @property
    def seal(self) -> str:
        return f"keyfile:{self.folder}/root.key"

    def open(self) -> LocalKms:
        return ron_kms.open(self.url, seal=self.seal)


@contextmanager
def copy(filling: Filling, cache: Path = CACHE) -> Iterator[Place]:
    """A copy of a filled store, which is filled first where the cache has none."""
    kept = filled(filling, cache)
    with tempfile.TemporaryDirectory(prefix="ron-kms-scale-") as folder:
        place = Place(Path(folder) / "store", filling)
        shutil.copytree(kept, place.folder)
        yield place


def filled(filling: Filling, cache: Path = CACHE) -> Path:
    """The folder of a filled store, which nobody may change."""
    kept = cache / filling.folder
    if kept.is_dir():
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="filling-", dir=cache) as folder:
        place = Place(Path(folder) / "store", filling)
        place.folder.mkdir()
        store = open_store(place.url, place.seal)
        try:
            _fill(store, filling)
        finally:
            store.close()
        try:
            place.folder.rename(kept)
        except OSError:
            if not kept.is_dir():
                raise
            # Another run has filled one meanwhile.
    return kept


def _fill(store: Store, filling: Filling) -> None:
    [slot] = _core.generate(SUITES[SUITE].scheme)
    try:
        for first in range(0, filling.keys, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, filling.keys))

            def insert(connection: Connection, numbers: range = numbers) -> None:
                connection.exec_driver_sql(_PAGES)
                _insert(connection, store, slot, filling, numbers)

            store.database.write(insert).result()
            if numbers.stop % 50_000 == 0:
                print(f"{numbers.stop:,} of {filling.keys:,} keys", file=sys.stderr, flush=True)
    finally:
        slot.release()


class _Gathered:
    """Stands for a connection while rows are inserted, and keeps them by table."""

    def __init__(self) -> None:
        self.rows: dict[Table, list[Any]] = {KEYS: [], KEY_VERSIONS: [], CHANGES: []}

    def execute(self, statement: Insert, values: Any) -> None:
        self.rows[statement.table].append(values)  # type: ignore[index]


def _insert(connection: Connection, store: Store, slot: _core.KeySlot, filling: Filling, numbers: range) -> None:
    """The rows that :func:`ron_kms.store.keys.insert_key` writes, thousands in one statement; and the record of changes
    as it is after so many: the newest ones, of which the oldest stands for all before it."""
    gathered = cast("Connection", _Gathered())
    pruned = max(0, filling.keys - changes.KEPT)
    for number in numbers:
        key, version = _made(store, slot, _kid(filling, number), number)
        store.rows.insert(gathered, KEYS, _key_row(key))
        store.rows.insert(gathered, KEY_VERSIONS, _version_row(key, version))
        n = number + 1
        if n >= pruned:
            kind, name = (changes.PRUNED, str(n)) if n == pruned else ("key", str(key.kid))
            store.rows.insert(gathered, CHANGES, {"n": n, "kind": kind, "id": name})
    for table, rows in cast("_Gathered", gathered).rows.items():
        if rows:
            connection.execute(table.insert(), rows)


def _made(store: Store, slot: _core.KeySlot, kid: Kid, number: int) -> tuple[Key, Version]:
    """A key under this name, sealed as its tenant's."""
    created = _CREATED + timedelta(milliseconds=number)
    at = (created - _EPOCH) // timedelta(microseconds=1)
    blob = store.keys.tenant_seal(kid.tenant).seal_slot(slot, blob_ad(kid, SUITE, at, slot.public_keys))
    version = Version(1, SUITE, "enabled", slot.public_keys, blob, created)
    key = Key(
        tenant=kid.tenant,
        purpose=kid.purpose,
        uuid=kid.uuid,
        use="sign",
        raw_messages=False,
        labels={},
        newest=1,
        created=created,
    )
    return key, version


def _kid(filling: Filling, number: int) -> Kid:
    """A UUIDv7 of the key's own millisecond, as keys have that are made one after the other."""
    random = sha256(b"%d" % number).digest()
    at = (_CREATED - _EPOCH) // timedelta(milliseconds=1) + number
    digits = f"{at:012x}7{random[:2].hex()[1:]}{8 + random[2] % 4:x}{random[3:11].hex()[1:]}"
    uuid = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return Kid(f"tenant-{number % filling.tenants}", PURPOSE, uuid, 1)
