"""A log that is written, closed, left by a crash, and gone on with."""

from __future__ import annotations

import asyncio
import errno
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ron_kms.audit import journal
from ron_kms.audit.checkpoint import verify
from ron_kms.audit.log import QUEUE_BYTES
from ron_kms.audit.recovery import root_at
from ron_kms.audit.registry import Node, open_trail
from ron_kms.audit.tiles import decode_bundle
from ron_kms.audit.tree import merkle_root
from ron_kms.errors import StoreUnavailable
from ron_kms.store import audit as registered
from ron_kms.store.audit import AuditLog
from ron_kms.store.bootstrap import Store
from ron_kms.store.database import Connection
from ron_kms.store.rows import Rows
from tests.audit.place import QUICK, SLOW, Place, crash, record, records
from tests.waiting import until


def kept(place: Place, size: int, slot: str = "0") -> list[bytes]:
    """All records of a log, from its bundles."""
    folder = place.log(slot)
    return [item for index in range(-(-size // 256)) for item in folder.records(index, min(256, size - 256 * index))]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_a_closed_log_is_whole_tiles_and_a_checkpoint(place: Place, store: Store, count: int) -> None:
    trail = place.open(store)
    wanted = records(0, count)
    for at in range(0, count, 100):
        trail.append(wanted[at : at + 100]).result()
    assert trail.log.size == count
    assert trail.close() or not count
    note = place.log().checkpoint()
    assert note is not None
    checkpoint = verify(note, trail.log.keys).checkpoint
    assert (checkpoint.origin, checkpoint.size) == (trail.log.origin, count)
    assert checkpoint.root == merkle_root(wanted) == root_at(place.log(), count, count)
    assert kept(place, count) == wanted
    assert place.told.records == count


@pytest.mark.parametrize("pace", [SLOW, QUICK])
def test_what_was_answered_outlives_a_crash(place: Place, store: Store, pace: object) -> None:
    wanted: list[bytes] = []
    for turn in range(6):
        trail = place.open(store, pace=QUICK if pace is QUICK else SLOW)
        assert trail.log.size == len(wanted)
        new = records(len(wanted), 170 + turn)
        trail.append(new[:3], "durable").result()
        trail.append(new[3:], "written").result()
        if turn % 2:
            trail.append(()).result()
        wanted += new
        crash(trail)
        if pace is QUICK:
            trail.close()
    place.open(store).close()
    assert kept(place, len(wanted)) == wanted


def test_records_that_trail_are_there_soon(place: Place, store: Store) -> None:
    trail = place.open(store)
    for number in range(50):
        assert trail.trail((record(number),))
    assert until(lambda: trail.log.size == 50)
    trail.close()
    assert kept(place, 50) == records(0, 50)


def test_one_sync_serves_many(place: Place, store: Store) -> None:
    trail = place.open(store)
    futures = [trail.append((record(number),)) for number in range(500)]
    for future in futures:
        future.result()
    trail.close()
    assert kept(place, 500) == records(0, 500)


def test_who_does_not_wait_any_more_holds_up_no_one(place: Place, store: Store) -> None:
    trail = place.open(store)

    async def leave() -> None:
        for number in range(50):
            waiting = asyncio.create_task(_wait(trail.append((record(number),))))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])

    asyncio.run(leave())
    trail.append((record(50),)).result(30)
    trail.close()
    assert kept(place, 51) == records(0, 51)


async def _wait(future: Future[None]) -> None:
    await asyncio.wrap_future(future)


def test_the_queue_is_bounded(place: Place, store: Store) -> None:
    trail = place.open(store)
    big = b"\1" * 4096
    futures = [trail.append([big] * 512) for _ in range(3 * QUEUE_BYTES // (512 * 4096))]
    results = [future.exception() for future in futures]
    assert any(isinstance(result, StoreUnavailable) for result in results)
    assert any(result is None for result in results)
    trail.close()


def test_a_slot_is_written_by_one(place: Place, store: Store) -> None:
    trail = place.open(store)
    assert open_trail(store, Node.at(place.audit, "here"), "0", place.told) is None
    other = place.open(store, "1")
    assert other.log.origin != trail.log.origin
    trail.close()
    other.close()
    place.open(store).close()


def test_two_that_make_the_same_log_at_once(place: Place, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second has read that there is none, and then the first makes it, writes to it and ends."""
    load_logs = registered.load_logs

    def late(connection: Connection, rows: Rows) -> list[AuditLog]:
        found = load_logs(connection, rows)
        monkeypatch.setattr(registered, "load_logs", load_logs)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(first).result()
        return found

    def first() -> None:
        with closing(place.store()) as another:
            trail = place.open(another)
            trail.append(records(0, 3)).result()
            trail.close()

    monkeypatch.setattr(registered, "load_logs", late)
    trail = place.open(store)
    assert (trail.log.damage, trail.log.size) == ("", 3)
    trail.close()


def test_nothing_is_taken_after_the_end(place: Place, store: Store) -> None:
    trail = place.open(store)
    trail.close()
    with pytest.raises(StoreUnavailable):
        trail.append((record(1),)).result()


def test_journal_files_go_once_their_records_are_in_bundles(place: Place, store: Store) -> None:
    trail = place.open(store, pace=QUICK)
    for at in range(0, 9000, 300):
        trail.append(records(at, 300)).result()
    assert until(lambda: trail.log.recent and len(list(place.log().journal.iterdir())) <= 2)
    trail.close()
    assert kept(place, 9000) == records(0, 9000)
    assert not (place.log().path / "tile/0/000.p").exists()
    assert decode_bundle((place.log().path / "tile/entries/000").read_bytes(), 256) == records(0, 256)


@pytest.mark.parametrize("room", [True, False])
def test_a_journal_file_has_room_where_the_disk_has(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch, room: bool
) -> None:
    if not room:
        monkeypatch.setattr(journal, "SEGMENT_BYTES", 1 << 60)  # no file can be so large
    trail = place.open(store)
    sizes = []
    for at in range(0, 30, 10):
        [path] = place.log().journal.iterdir()
        sizes.append(path.stat().st_size)
        trail.append(records(at, 10)).result()
    assert len(set(sizes)) == (1 if room else 3)
    crash(trail)
    trail = place.open(store)
    assert (trail.log.size, trail.log.damage) == (30, "")
    trail.close()


def test_a_changed_byte_of_the_room_is_no_group(place: Place, store: Store) -> None:
    trail = place.open(store)
    trail.append(records(0, 10)).result()
    crash(trail)
    [path] = place.log().journal.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] = 1
    path.write_bytes(data)
    trail = place.open(store)
    assert (trail.log.size, trail.log.damage) == (10, "")
    trail.close()


def test_a_journal_file_that_cannot_be_begun_leaves_the_log_whole(
    place: Place, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    trail = place.open(store)
    with monkeypatch.context() as failing:
        failing.setattr(journal, "SEGMENT_BYTES", 0)
        failing.setattr(journal, "sync_path", _fail)
        trail.append(records(0, 3)).result()
        assert until(lambda: trail.log.size == 3)
        trail.append(records(3, 3)).result()
        assert until(lambda: trail.log.size == 6)
    trail.append(records(6, 3)).result()
    crash(trail)
    again = place.open(store)
    assert (again.log.damage, again.log.size) == ("", 9)
    again.close()


def _fail(_: Path) -> None:
    raise OSError(errno.EIO, "no disk")
