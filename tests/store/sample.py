"""Keys, versions and stores to test with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from ron_kms.model import Key, Kid, Version, new_uuid
from ron_kms.store import keys
from ron_kms.store.bootstrap import Store, open_store

NOW = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)


class Place(NamedTuple):
    """Where a store and its root key are."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "keys.db"

    @property
    def root(self) -> Path:
        return self.folder / "root.key"

    @property
    def url(self) -> str:
        return f"sqlite:///{quote(str(self.file))}"

    @property
    def seal(self) -> str:
        return f"keyfile:{self.root}"

    def open(self) -> Store:
        return open_store(self.url, self.seal)


def key(tenant: str = "acme", purpose: str = "audit", uuid: str | None = None) -> Key:
    return Key(
        tenant=tenant,
        purpose=purpose,
        uuid=uuid or new_uuid(),
        use="sign",
        raw_messages=False,
        labels={"team": "blue", "ärmel": "ß"},
        newest=1,
        created=NOW,
    )


def version(number: int = 1, blob: bytes = b"blob-of-version") -> Version:
    return Version(
        number=number,
        suite="ed25519+ml-dsa-65",
        state="enabled",
        public=(b"p" * 32, b"q" * 1952),
        blob=blob,
        created=NOW,
    )


def add_key(store: Store, new: Key | None = None, blob: bytes = b"blob-of-version") -> Kid:
    """Store a key and return its name."""
    new = new or key()
    store.database.write(lambda connection: keys.insert_key(connection, store.rows, new, version(blob=blob))).result()
    return new.kid
