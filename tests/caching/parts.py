"""A cache that a test drives by hand: its clock, its store, and when the store answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from ron_kms.crypto.suites import SUITES
from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.keys.directory import Bounds, Directory
from ron_kms.keys.entry import Entry
from ron_kms.model import Key, Kid, Version, new_uuid
from ron_kms.store.bootstrap import Store
from ron_kms.store.horizon import Horizon
from ron_kms.store.keys import insert_key, load_key, save

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def make(store: Store, suite: str = "ed25519") -> Kid:
    """A key without a private half."""
    public = tuple(bytes(size) for size in SUITES[suite].scheme.public_sizes)
    key = Key("acme", "audit", new_uuid(), SUITES[suite].use, False, {}, 1, NOW)
    store.database.write(
        lambda c: insert_key(c, store.rows, key, Version(1, suite, "enabled", public, b"", NOW))
    ).result()
    return key.kid.at(1)


def touch(store: Store, kid: Kid) -> int:
    """Raise the key's minimum version for verifying; the change's number."""

    def write(connection: Any) -> int:
        found = load_key(connection, store.rows, kid)
        assert found is not None
        key, _ = found
        values = {name: getattr(key, name) for name in key.__struct_fields__}
        after = Key(**values | {"min_verify_version": key.min_verify_version + 1})
        return save(connection, store.rows, key, after).n

    return store.database.write(write).result()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Switched:
    """A store's threads, which can be taken away and held up; counts the reads that were asked for."""

    def __init__(self, store: Store) -> None:
        self._database = store.database
        self.away = False
        self.held: list[Callable[[], None]] | None = None
        self.reads = 0

    def read(self, job: Callable[[Any], Any]) -> Future[Any]:
        self.reads += 1
        future: Future[Any] = Future()

        def run() -> None:
            if self.away:
                future.set_exception(StoreUnavailable("the store is away"))
                return
            try:
                future.set_result(self._database.read(job).result())
            except KmsError as error:
                future.set_exception(error)

        if self.held is None:
            run()
        else:
            self.held.append(run)
        return future

    def hold(self) -> None:
        """From now on reads wait."""
        self.held = []

    def release(self) -> None:
        held, self.held = self.held or [], None
        for run in held:
            run()


async def block(future: Future[Any]) -> Any:
    return future.result(10)


class Cache:
    """A directory over a store, with its clock and switch."""

    def __init__(self, store: Store, bounds: Bounds, horizon: Horizon | None = None) -> None:
        self.clock = Clock()
        self.switch = Switched(store)
        self.horizon = Horizon() if horizon is None else horizon
        self.directory = Directory(
            self.switch,  # type: ignore[arg-type]
            store.rows,
            block,
            self.horizon,
            bounds,
            self.clock,
        )

    def find(self, kid: Kid) -> Entry | KmsError | None:
        """What a request gets."""
        looking = self.directory.find([kid])
        try:
            looking.send(None)  # type: ignore[attr-defined]
        except StopIteration as end:
            found: dict[Kid, Entry | KmsError] = end.value
            return found.get(kid)
        raise AssertionError("it waited")

    def age(self, kid: Kid) -> float:
        """How old the entry is that a request gets."""
        entry = self.find(kid)
        assert isinstance(entry, Entry), entry
        return self.clock.now - entry.read_at
