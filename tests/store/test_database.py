"""Threads and transactions."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from sqlalchemy import Connection

from ron_kms.errors import ConfigurationError, Conflict, KmsError, StoreCorrupt, StoreUnavailable
from ron_kms.store import changes
from ron_kms.store import sqlite as engine
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Database
from ron_kms.store.migrate import migrate
from ron_kms.store.schema import CHANGES
from tests.store.sample import Place, add_key, key


def record(store: Store, name: str = "x") -> Future[int]:
    return store.database.write(lambda connection: changes.record(connection, store.rows, "key", name))


def latest(store: Store) -> int:
    return store.database.read(lambda connection: changes.latest(connection, store.rows)).result()


class Held:
    """Keeps the writer busy while jobs gather behind it."""

    def __init__(self, store: Store) -> None:
        self._gate = threading.Event()
        started = threading.Event()
        self._job = store.database.write(lambda connection: (started.set(), self._gate.wait(30)))
        assert started.wait(10)

    def __enter__(self) -> None: ...

    def __exit__(self, *error: object) -> None:
        self._gate.set()
        self._job.result()


def test_what_was_written_is_read(store: Store) -> None:
    assert record(store).result() == 1
    assert latest(store) == 1


def test_jobs_that_gather_share_a_commit(store: Store) -> None:
    before = store.database.commits
    with Held(store):
        futures = [record(store) for _ in range(200)]
        assert not any(future.done() for future in futures)
    assert [future.result() for future in futures] == list(range(1, 201))
    assert store.database.commits - before == 2  # the one that held, and one for all


def test_a_job_that_fails_spoils_no_other_and_changes_nothing(store: Store) -> None:
    def fail(connection: Connection) -> None:
        changes.record(connection, store.rows, "key", "bad")
        raise LookupError("mine")

    def end(connection: Connection) -> None:
        changes.record(connection, store.rows, "key", "bad")
        raise SystemExit

    with Held(store):
        good, bad, worse, last = record(store), store.database.write(fail), store.database.write(end), record(store)
    assert (good.result(), last.result()) == (1, 2)
    with pytest.raises(LookupError, match="mine"):
        bad.result()
    assert isinstance(worse.exception(), SystemExit)
    found = store.database.read(lambda connection: changes.since(connection, store.rows, 0, 10)).result()
    assert [change.id for change in found] == ["x", "x"]


def test_a_row_that_is_there_already_is_a_conflict(store: Store) -> None:
    new = key()
    add_key(store, new)
    with pytest.raises(Conflict):
        add_key(store, new)
    assert latest(store) == 1


def test_a_full_disk_ends_the_transaction_for_all_in_it_and_the_next_one_works(store: Store) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        for _ in range(100):
            changes.record(connection, store.rows, "key", "x" * 10_000)

    with Held(store):
        before, full, after = record(store), store.database.write(fill), record(store)
    outcomes = [future.exception() for future in (before, full, after)]
    assert isinstance(outcomes[1], StoreUnavailable)
    assert "full" in outcomes[1].message
    kept = sum(outcome is None for outcome in outcomes)
    assert latest(store) == kept  # what was acknowledged is there, what was not is not
    store.database.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 1000000")).result()
    assert record(store).result() == kept + 1


def test_when_the_engine_gives_up_a_transaction_no_job_in_it_is_acknowledged(store: Store) -> None:
    def give_up(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")
        raise LookupError("mine")

    with Held(store):
        before, own, after = record(store), store.database.write(give_up), record(store)
    for future in (before, own, after):
        assert isinstance(future.exception(), StoreUnavailable)
    assert latest(store) == 0
    assert record(store).result() == 1


def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        store.database.read(lambda connection: changes.record(connection, store.rows, "key", "x")).result()
    assert latest(store) == 0


def test_a_reader_sees_one_state_of_the_store(store: Store) -> None:
    record(store).result()

    def read(connection: Connection) -> tuple[int, int]:
        before = changes.latest(connection, store.rows)
        record(store).result()
        return before, changes.latest(connection, store.rows)

    assert store.database.read(read).result() == (1, 1)
    assert latest(store) == 2


def test_a_store_locked_by_another_is_told_and_works_again(
    store: Store, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.1)
    other = sqlite.connect(str(place.file), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked by another process") as refused:
        record(store).result()
    assert refused.value.retry_after == 1
    assert latest(store) == 0  # reading goes on
    other.close()
    assert record(store).result() == 1


def test_waiting_jobs_are_bounded(place: Place, store: Store) -> None:
    database = Database(place.url, readers=1, waiting=3)
    gate, started = threading.Event(), threading.Event()
    held = database.read(lambda connection: (started.set(), gate.wait(30)))
    assert started.wait(10)
    waiting = [database.read(lambda connection: 1) for _ in range(3)]
    with pytest.raises(StoreUnavailable, match="too much waits") as refused:
        database.read(lambda connection: 1).result()
    assert refused.value.retry_after == 1
    gate.set()
    assert [future.result() for future in waiting] == [1, 1, 1]
    held.result()
    database.close()


def test_close_finishes_what_waits_and_refuses_what_comes_later(store: Store, place: Place) -> None:
    futures = [record(store) for _ in range(100)]
    store.database.close()
    assert [future.result(0) for future in futures] == list(range(1, 101))
    for late in (store.database.read(lambda connection: 1), store.database.write(lambda connection: 1)):
        with pytest.raises(StoreUnavailable, match="closed"):
            late.result(0)
    store.database.close()
    assert not Path(f"{place.file}-wal").exists()  # the last connection has taken it into the file


def test_a_database_that_is_dropped_leaves_no_thread(place: Place) -> None:
    migrate(place.url)
    before = threading.active_count()
    database = Database(place.url)
    future = database.write(lambda connection: 1)
    assert threading.active_count() == before + 3
    del database
    gc.collect()
    assert future.result(10) == 1
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_a_cancelled_job_does_not_run(store: Store) -> None:
    with Held(store):
        kept, cancelled = record(store), record(store)
        assert cancelled.cancel()
    assert kept.result() == 1
    with pytest.raises(CancelledError):
        cancelled.result()
    assert latest(store) == 1


def test_futures_are_awaitable(store: Store) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(asyncio.wrap_future(record(store)) for _ in range(20)))

    assert asyncio.run(main()) == list(range(1, 21))


def test_many_threads(store: Store) -> None:
    def work() -> None:
        for _ in range(20):
            latest(store)
            record(store).result()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert latest(store) == 160
    assert store.database.commits < 160


def test_errors_tell_no_statement_and_no_value(store: Store) -> None:
    secret = "very-private-value"
    row = {"n": 1, "kind": secret, "id": secret}
    store.database.write(lambda connection: store.rows.insert(connection, CHANGES, row)).result()
    error = store.database.write(lambda connection: store.rows.insert(connection, CHANGES, row)).exception()
    assert isinstance(error, KmsError)
    told = "".join(map(str, (error, error.message, error.hint, error.__cause__, error.__cause__.__context__)))
    assert secret not in told
    assert "INSERT" not in told


def test_a_file_that_is_gone_or_no_database_is_told(place: Place, tmp_path: Path) -> None:
    database = Database(place.url)
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        database.read(lambda connection: 1).result()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        database.write(lambda connection: 1).result()
    assert not place.file.exists()  # opening never makes it
    migrate(place.url)
    assert database.read(lambda connection: 1).result() == 1  # and it is opened once it is there
    database.close()
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"this is no database" * 1000)
    database = Database(f"sqlite:///{garbage}")
    with pytest.raises(StoreCorrupt, match="not a database"):
        database.read(lambda connection: 1).result()
    database.close()


def test_a_damaged_page_is_told(place: Place) -> None:
    store = place.open()
    for _ in range(20):
        add_key(store)
    store.close()
    with place.file.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (place.file.stat().st_size - 4096))
    with pytest.raises(StoreCorrupt, match="damaged"):
        place.open()


def test_an_old_sqlite_is_refused_by_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_OLDEST", (99, 0, 0))
    with pytest.raises(ConfigurationError, match=r"SQLite .* 99\.0\.0 or newer is needed"):
        Database(place.url)


def test_connections_are_set_up_to_be_durable_and_strict(store: Store) -> None:
    def settings(connection: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "secure_delete", "foreign_keys", "trusted_schema", "cell_size_check")
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]

    assert store.database.write(settings).result() == ["wal", 2, 1, 1, 0, 1]
    assert store.database.read(settings).result() == ["wal", 2, 1, 1, 0, 1]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://kms@db/kms", "PostgreSQL"),
        ("postgresql+psycopg://kms@db/kms", "PostgreSQL"),
        ("mysql://kms@db/kms", "engine"),
        ("sqlite+aiosqlite:///x.db", "engine"),
        ("sqlite:///x.db?mode=memory", "options"),
        ("sqlite://", "no file"),
        ("sqlite:///:memory:", "no file"),
        ("keys.db", "not a database URL"),
        ("", "not a database URL"),
    ],
)
def test_other_urls_are_refused(url: str, told: str) -> None:
    for use in (Database, migrate):
        with pytest.raises(ConfigurationError, match=told):
            use(url)
