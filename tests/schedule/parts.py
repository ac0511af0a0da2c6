"""Keys that are due, and what became of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from ron_kms.model import Key, Kid, Version
from ron_kms.store.bootstrap import Store
from ron_kms.store.keys import load_key, save

DAY = timedelta(days=1)


def load(store: Store, kid: Kid) -> tuple[Key, list[Version]]:
    found = store.database.read(lambda c: load_key(c, store.rows, kid)).result()
    assert found is not None
    return found


def make_due(store: Store, kid: Kid, ago: timedelta = timedelta(seconds=1)) -> None:
    """As if the time of its rotation, one every day, had come that long ago."""

    def write(connection: Any) -> None:
        found = load_key(connection, store.rows, kid)
        assert found is not None
        due = replace(found[0], rotation_period=86400, next_rotation=datetime.now(UTC) - ago)
        save(connection, store.rows, found[0], due)

    store.database.write(write).result()


def numbers(store: Store, kid: Kid) -> list[int]:
    return [version.number for version in load(store, kid)[1]]
