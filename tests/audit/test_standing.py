"""Older copies of the store beside newer logs, and the ways on: accepting a store, and accepting a gap."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ron_kms.audit.offline import note
from ron_kms.audit.record import Record, decode
from ron_kms.audit.registry import Node
from ron_kms.audit.standing import Standing
from ron_kms.errors import ConfigurationError, Restored, StoreUnavailable
from ron_kms.store.audit import AuditLog, load_head, load_logs, save_head
from ron_kms.store.bootstrap import Store
from tests.audit.place import SLOW, Place, records
from tests.waiting import until


def standing(place: Place, store: Store) -> Standing:
    return Standing(store, Node.at(place.audit, "here"))


def fill(place: Place, first: int, count: int, slot: str = "0") -> None:
    store = place.store()
    trail = place.open(store, slot)
    trail.append(records(first, count)).result()
    assert trail.close()
    store.close()


def content(place: Place, store: Store, slot: str = "0") -> list[Record]:
    """What the log of a slot has once it is closed again."""
    trail = place.open(store, slot)
    assert not trail.log.damage, trail.log.damage
    trail.close()
    folder, size = trail.log.folder, trail.log.size
    bundles = [folder.records(index, min(256, size - 256 * index)) for index in range(-(-size // 256))]
    return [decode(record) for bundle in bundles for record in bundle]


@pytest.fixture
def older(place: Place) -> Store:
    """The store as it was at 10 records, beside a log of 310, and beside one that it does not know."""
    fill(place, 0, 10)
    shutil.copy(place.folder / "ron-kms.db", place.folder / "older.db")
    fill(place, 10, 300)
    for leftover in place.folder.glob("ron-kms.db*"):
        leftover.unlink()
    shutil.copy(place.folder / "older.db", place.folder / "ron-kms.db")
    return place.store()


def test_an_older_store_is_refused_until_it_is_accepted(place: Place, older: Store) -> None:
    with pytest.raises(Restored, match="310 records and the store knows of 10"):
        standing(place, older).check()
    trail = place.open(older)
    with pytest.raises(StoreUnavailable, match="fails its check"):
        trail.require()
    trail.close()
    with pytest.raises(ConfigurationError, match="310"):
        standing(place, older).accept_gap()
    taken = older.database.write(standing(place, older).accept).result()
    assert taken == [trail.log.origin]
    standing(place, older).check()
    assert len(content(place, older)) == 310
    older.close()


@pytest.mark.parametrize(("head", "more"), [(1, 1), (255, 2), (256, 1), (300, 400), (700, 1)])
def test_the_head_of_an_older_store_need_not_be_at_a_checkpoint(place: Place, head: int, more: int) -> None:
    store = place.store()
    trail = place.open(store, pace=SLOW._replace(head=0.01))
    trail.append(records(0, head)).result()
    assert until(lambda: trail.log.head.size == head)
    known = store.database.read(lambda connection: load_head(connection, store.rows, trail.log.origin)).result()
    trail.append(records(head, more)).result()
    trail.close()
    store.database.write(
        lambda connection: save_head(connection, store.rows, trail.log.origin, *known, datetime.now(UTC))
    ).result()
    with pytest.raises(Restored):
        standing(place, store).check()
    assert store.database.write(standing(place, store).accept).result() == [trail.log.origin]
    assert len(content(place, store)) == head + more
    store.close()


def test_a_log_that_went_another_way_is_not_adopted(place: Place, older: Store) -> None:
    [log] = older.database.read(lambda connection: load_logs(connection, older.rows)).result()
    path = place.log().path / "tile/entries/000"
    assert path.exists()
    tile = place.log().path / "tile/0/000"
    data = bytearray(tile.read_bytes())
    data[0] ^= 1
    tile.write_bytes(data)
    assert older.database.write(standing(place, older).accept).result() == []
    assert older.database.read(lambda connection: load_head(connection, older.rows, log.origin)).result()[0] == 10
    older.close()


def test_a_node_that_was_given_another_name(place: Place) -> None:
    """Its logs are not taken for those of a newer store, and not moved aside."""
    fill(place, 0, 10)
    store = place.store()
    renamed = Standing(store, Node.at(place.audit, "there"))
    with pytest.raises(ConfigurationError, match="those of the node here, and this node's name is there") as told:
        renamed.check()
    assert "KMS_NODE=here" in told.value.hint
    with pytest.raises(ConfigurationError, match="node here"):
        store.database.write(renamed.accept).result()
    standing(place, store).check()
    store.close()


def test_a_log_that_the_store_does_not_know_is_moved_aside(place: Place) -> None:
    fill(place, 0, 10)
    shutil.copy(place.folder / "ron-kms.db", place.folder / "older.db")
    fill(place, 0, 5, "1")
    for leftover in place.folder.glob("ron-kms.db*"):
        leftover.unlink()
    shutil.copy(place.folder / "older.db", place.folder / "ron-kms.db")
    store = place.store()
    with pytest.raises(Restored, match="does not know"):
        standing(place, store).check()
    with pytest.raises(Restored):
        place.open(store, "1")
    [aside] = store.database.write(standing(place, store).accept).result()
    assert aside.startswith("1.unknown-")
    standing(place, store).check()
    assert content(place, store, "1") == []
    store.close()


@pytest.mark.parametrize("size", [0, 10, 300])
def test_an_expected_checkpoint_holds(place: Place, size: int) -> None:
    fill(place, 0, size)
    kept = place.log().checkpoint()
    fill(place, size, 20)
    store = place.store()
    standing(place, store).check(kept)
    store.close()


def test_an_expected_checkpoint_tells_an_older_copy_of_store_and_log(place: Place, tmp_path: Path) -> None:
    fill(place, 0, 10)
    older = tmp_path / "older"
    shutil.copytree(place.folder, older, ignore=lambda *_: ["older"])
    fill(place, 10, 10)
    kept = place.log().checkpoint()
    store = Place(older).store()
    standing(Place(older), store).check()
    with pytest.raises(Restored, match="20 records"):
        standing(Place(older), store).check(kept)
    with pytest.raises(Restored, match="no audit log"):
        standing(Place(older), store).check(b"nonsense")
    store.close()


@pytest.mark.parametrize("lost", ["", "checkpoint", "journal"])
def test_a_gap_is_accepted_and_told_by_the_log_that_follows(place: Place, lost: str) -> None:
    fill(place, 0, 30)
    fill(place, 0, 5, "1")
    path = place.log().path / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    store = place.store()
    trail = place.open(store)
    cause = trail.log.damage
    assert cause
    store.database.write(lambda connection: trail.put(connection, records(77, 1)[0])).result()
    trail.close()
    other = place.open(store, "1")
    assert other.log.damage == cause  # one that fails stops all of the node
    other.close()
    [accepted] = standing(place, store).accept_gap()
    assert (accepted.origin, accepted.cause) == (trail.log.origin, cause)
    assert standing(place, store).accept_gap() == []
    told = content(place, store)
    assert [record.operation for record in told] == ["sign", "accept-gap"]
    assert told[1].count == 30
    assert told[1].reason == f"{trail.log.origin}: {cause}"
    assert place.log("0-2").exists()
    assert len(content(place, store, "1")) == 5
    assert (place.log().path / "tile").exists() == bool(lost)
    store.close()


def test_a_log_that_is_being_written_is_no_gap(place: Place) -> None:
    store = place.store()
    trail = place.open(store)
    trail.append(records(0, 3)).result()
    with pytest.raises(ConfigurationError, match="written by another process"):
        standing(place, store).accept_gap()
    trail.append(records(3, 1)).result()
    trail.close()
    assert standing(place, store).accept_gap() == []
    store.close()


def test_a_log_that_another_process_just_begins_is_not_unknown(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    store = place.store()
    place.open(store).close()
    known = Standing._all

    def late(self: Standing) -> list[AuditLog]:
        found = known(self)
        monkeypatch.setattr(Standing, "_all", known)
        fill(place, 0, 5, "local-1")
        return found

    monkeypatch.setattr(Standing, "_all", late)
    assert not list(standing(place, store)._unknown())
    store.close()


def test_what_is_done_offline_is_in_the_next_log_once(place: Place) -> None:
    store = place.store()
    for number in range(3):
        store.database.write(
            lambda connection, number=number: note(connection, store.rows, "rotate-root", str(number))
        ).result()
    for slot in "010":
        place.open(store, slot).close()
    assert [record.reason for record in content(place, store)] == ["0", "1", "2"]
    assert content(place, store, "1") == []
    store.close()
