"""What is done to a log behind its back is found at its next start, or by the scrub while it runs."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from ron_kms.audit.journal import encode_group, read_segments
from ron_kms.errors import StoreUnavailable
from ron_kms.metrics import Metrics
from ron_kms.service.start import start
from ron_kms.store.audit import load_logs
from ron_kms.store.bootstrap import Store
from tests.audit.place import QUICK, SLOW, Place, crash, records
from tests.waiting import until

Harm = Callable[[Path], None]


def flip(name: str, at: int = -1) -> Harm:
    def harm(folder: Path) -> None:
        path = folder / name
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)

    return harm


def truncate(name: str, by: int = 1) -> Harm:
    def harm(folder: Path) -> None:
        path = folder / name
        path.write_bytes(path.read_bytes()[:-by])

    return harm


def remove(name: str) -> Harm:
    def harm(folder: Path) -> None:
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return harm


def refused(place: Place, store: Store) -> str:
    """Open the log, which must say that it is damaged; why."""
    trail = place.open(store)
    assert trail.log.damage
    assert place.told.damage == [trail.log.damage]
    with pytest.raises(StoreUnavailable):
        trail.require()
    with pytest.raises(StoreUnavailable):
        trail.append(records(0, 1)).result()
    assert not trail.trail(records(0, 1))
    assert not trail.log.recent
    trail.close()
    return trail.log.damage


@pytest.mark.parametrize(
    "harm",
    [
        remove("."),
        remove("checkpoint"),
        remove("tile"),
        remove("journal"),
        remove("tile/0/002.p/88"),
        remove("tile/1/000.p/2"),
        remove("tile/entries/002.p/88"),
        truncate("tile/0/002.p/88"),
        truncate("tile/0/002.p/88", 32),
        truncate("tile/1/000.p/2", 64),
        truncate("tile/entries/002.p/88"),
        truncate("checkpoint"),
        flip("tile/0/002.p/88", 0),
        flip("tile/1/000.p/2", 40),
        flip("tile/entries/002.p/88", 100),
        flip("checkpoint", 10),
        flip("checkpoint"),
    ],
)
def test_a_closed_log_that_was_touched_is_refused(place: Place, store: Store, harm: Harm) -> None:
    trail = place.open(store)
    trail.append(records(0, 600)).result()
    assert trail.close()
    harm(place.log().path)
    cause = refused(place, store)
    place.told.damage.clear()
    assert refused(place, store) == cause  # also where the damage is out of sight again
    [log] = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
    assert log.damage == cause


@pytest.mark.parametrize("where", ["tile/entries/000", "tile/0/001", "tile/entries/001", "tile/1/000.p/2"])
@pytest.mark.parametrize("kind", [flip, truncate, remove])
def test_the_scrub_finds_what_a_start_does_not_look_at(
    place: Place, store: Store, kind: Callable[[str], Harm], where: str
) -> None:
    trail = place.open(store)
    trail.append(records(0, 600)).result()
    assert trail.close()
    trail = place.open(store, pace=QUICK)
    signed = place.told.checkpoints
    trail.append(records(600, 1)).result()
    assert until(lambda: place.told.checkpoints > signed)  # the partial tiles are written anew with it
    kind(where)(place.log().path)
    assert until(lambda: bool(trail.log.damage))
    with pytest.raises(StoreUnavailable):
        trail.append(records(0, 1)).result()
    trail.close()
    assert until(
        lambda: store.database.read(lambda connection: load_logs(connection, store.rows)).result()[0].damage is not None
    )
    place.told.damage.clear()
    refused(place, store)


async def _no_loop(_: Future[Any]) -> Any:
    raise AssertionError("nothing is waited for")


def test_a_worker_stops_with_another_whose_log_was_changed(place: Place, store: Store) -> None:
    """It hears of it from the store, as of every change."""
    first = place.open(store)
    first.append(records(0, 600)).result()
    first.close()
    theirs = place.store()
    second = place.open(theirs, "1")
    kms = start(theirs, metrics=Metrics(), wait=_no_loop, threads=0, audit=second)
    first = place.open(store, pace=QUICK)
    try:
        second.append(records(0, 1)).result()
        flip("tile/0/000")(place.log().path)
        assert until(lambda: second.fault)
        assert second.fault == first.fault
        with pytest.raises(StoreUnavailable, match="fails its check"):
            second.require()
        [one, other] = store.database.read(lambda connection: load_logs(connection, store.rows)).result()
        assert (bool(one.damage), other.damage) == (True, None), "nothing is wrong with its own log"
    finally:
        first.close()
        kms.close()


def test_an_untouched_log_is_scrubbed_in_peace(place: Place, store: Store) -> None:
    trail = place.open(store, pace=QUICK)
    for at in range(0, 3000, 500):
        trail.append(records(at, 500)).result()
        assert until(lambda: trail.log.scrubbed > 0)
    assert not trail.log.damage
    assert trail.close()


def left_by_a_crash(place: Place, store: Store, *, head: bool) -> Path:
    """Three groups of records that no checkpoint covers; the file of the journal that has them."""
    pace = SLOW._replace(head=0.01) if head else SLOW
    trail = place.open(store, pace=pace)
    for at in range(0, 30, 10):
        trail.append(records(at, 10)).result()
    if head:
        assert until(lambda: trail.log.head.size == 30)
    crash(trail)
    [path] = place.log().journal.iterdir()
    return path


def groups(path: Path) -> list[int]:
    """Where the groups of a journal's file begin."""

    [segment] = read_segments(path.parent)
    return [group.start for group in segment.groups]


def written(path: Path) -> bytes:
    """A journal's file without its room."""

    [segment] = read_segments(path.parent)
    assert segment.good == segment.size < path.stat().st_size
    return path.read_bytes()[: segment.good]


@pytest.mark.parametrize("room", [0, 5000])
@pytest.mark.parametrize("kept", [4, 43, -1, -600])
def test_a_torn_end_that_nobody_was_told_of_is_cut_and_the_log_goes_on(
    place: Place, store: Store, kept: int, room: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = left_by_a_crash(place, store, head=False)
    data = written(path)
    last = groups(path)[-1]
    # Ends in something other than zeros, so that one byte less is one that is missing.
    data = data[:last] + encode_group(20, 20, [*records(20, 9), b"no record, to the disk"])
    path.write_bytes(data[:last] + data[last:][:kept] + bytes(room))
    trail = place.open(store)
    assert trail.log.size == 20
    assert not trail.log.damage
    assert "torn" in caplog.text
    trail.append(records(20, 10)).result()
    assert trail.close()
    caplog.clear()
    trail = place.open(store)
    assert trail.log.size == 30
    assert "torn" not in caplog.text
    trail.close()


@pytest.mark.parametrize("kept", [0, 1, -1])
def test_an_end_that_the_store_knows_of_is_missed(place: Place, store: Store, kept: int) -> None:
    path = left_by_a_crash(place, store, head=True)
    data = written(path)
    last = groups(path)[-1]
    path.write_bytes(data[:last] + data[last:][:kept])
    assert "cut off" in refused(place, store)


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("group", [0, 1])
def test_a_changed_group_before_the_last_is_no_torn_end(place: Place, store: Store, group: int, head: bool) -> None:
    path = left_by_a_crash(place, store, head=head)
    flip(path.name, groups(path)[group] + 100)(path.parent)
    refused(place, store)


@pytest.mark.parametrize("head", [False, True])
@pytest.mark.parametrize("group", [0, 1])
def test_a_group_that_was_taken_out_is_missed(place: Place, store: Store, group: int, head: bool) -> None:
    path = left_by_a_crash(place, store, head=head)
    data, starts = path.read_bytes(), groups(path)
    path.write_bytes(data[: starts[group]] + data[starts[group + 1] :])
    refused(place, store)


def test_a_record_that_was_made_anew_is_known_by_its_root(place: Place, store: Store) -> None:

    path = left_by_a_crash(place, store, head=True)
    start = groups(path)[2]
    forged = records(20, 5) + records(70, 5)
    path.write_bytes(path.read_bytes()[:start] + encode_group(20, 20, forged))
    assert "another root" in refused(place, store)


def test_two_logs_that_were_swapped_are_both_refused(place: Place, store: Store) -> None:
    for slot in "01":
        trail = place.open(store, slot)
        trail.append(records(0, 10)).result()
        assert trail.close()
    place.log("0").path.rename(place.audit / "aside")
    place.log("1").path.rename(place.log("0").path)
    (place.audit / "aside").rename(place.log("1").path)
    for slot in "01":
        trail = place.open(store, slot)
        assert trail.log.damage
        trail.close()


def test_an_older_copy_of_a_log_is_refused(place: Place, store: Store) -> None:
    trail = place.open(store)
    trail.append(records(0, 10)).result()
    trail.close()
    shutil.copytree(place.log().path, place.audit / "older")
    trail = place.open(store)
    trail.append(records(10, 10)).result()
    trail.close()
    shutil.rmtree(place.log().path)
    (place.audit / "older").rename(place.log().path)
    assert "cut off" in refused(place, store)
