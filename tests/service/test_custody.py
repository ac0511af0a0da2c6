"""Sealed keys: opened again after eviction, refused where they were changed, and their errors those of one item."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ron_kms._core import CoreError
from ron_kms.errors import StoreCorrupt, StoreUnavailable
from ron_kms.model import Kid
from ron_kms.service.local import LocalKms
from ron_kms.store.schema import KEY_VERSIONS
from tests.service.place import DIGEST, Place


def make(kms: LocalKms, count: int, suite: str = "ed25519") -> list[str]:
    return [kms.create(tenant="core", purpose="audit", suite=suite) for _ in range(count)]


def test_evicted_keys_are_opened_again(place: Place) -> None:
    with place.open(key_slots=16) as kms:
        kids = make(kms, 40)
        first = [kms.sign(kid, digest=DIGEST).sigs for kid in kids]
        assert kms._kms.custodian.loaded == 16
        assert [kms.sign(kid, digest=DIGEST).sigs for kid in kids] == first
        results = kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in kids])
        assert [result.sigs for result in results] == first
        assert kms._kms.custodian.loaded == 16


def test_the_least_recently_used_key_makes_room(place: Place) -> None:
    with place.open(key_slots=16) as kms:
        kids = make(kms, 17)
        for kid in (*kids[:16], kids[0], kids[16]):
            kms.sign(kid, digest=DIGEST)
        custodian = kms._kms.custodian
        assert custodian.find(Kid.parse(kids[0])) is not None
        assert custodian.find(Kid.parse(kids[1])) is None


def test_four_threads_over_more_keys_than_slots(place: Place) -> None:
    with place.open(key_slots=16) as kms:
        kids = make(kms, 24)
        expected = {kid: kms.sign(kid, digest=DIGEST).sigs for kid in kids}

        def work(turn: int) -> None:
            for i in range(60):
                kid = kids[(i * (turn + 5)) % 24]
                assert kms.sign(kid, digest=DIGEST).sigs == expected[kid]
                assert kms.verify(kid, expected[kid], digest=DIGEST).ok
                if i % 20 == 0:
                    results = kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in kids])
                    assert [result.sigs for result in results] == list(expected.values())

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(4)))
        assert kms._kms.custodian.loaded == 16


def swap_blobs(kms: LocalKms, one: str, two: str) -> None:
    """As someone would who has the rows' key but not the tenant's: authentic rows, blobs in each other's place."""
    rows = kms._kms.rows

    def change(connection: Any) -> None:
        found = [rows.find(connection, KEY_VERSIONS, Kid.parse(kid).uuid, 1) for kid in (one, two)]
        for own, other in (found, found[::-1]):
            assert own is not None
            assert other is not None
            rows.update(connection, KEY_VERSIONS, own, {"blob": other["blob"]})

    kms._kms.database.write(change).result()


def test_blobs_that_were_swapped_do_not_open(place: Place) -> None:
    with place.open() as kms:
        kids = make(kms, 3)
        sigs = kms.sign(kids[0], digest=DIGEST).sigs
        swap_blobs(kms, kids[0], kids[1])
    with place.open() as kms:
        for kid in kids[:2]:
            with pytest.raises(StoreCorrupt, match=Kid.parse(kid).uuid):
                kms.sign(kid, digest=DIGEST)
        results = kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in kids])
        assert [result.error.code if result.error else None for result in results] == [
            "StoreCorrupt",
            "StoreCorrupt",
            None,
        ]
        assert kms.verify(kids[0], sigs, digest=DIGEST).ok  # public material is intact


@pytest.mark.parametrize("column", ["blob", "public", "suite", "state", "created", "mac"])
def test_an_edited_row_is_refused_for_its_item_only(place: Place, column: str) -> None:
    with place.open() as kms:
        intact, edited = make(kms, 2, "ml-dsa-44")
        sigs = kms.sign(edited, digest=DIGEST).sigs
    change = {"suite": "'ml-dsa-65'", "state": "'compromised'", "created": "created + 1"}
    place.edit(
        f"UPDATE key_versions SET {column} = {change.get(column, f'zeroblob(length({column}))')} WHERE uuid = ?",
        Kid.parse(edited).uuid,
    )
    with place.open() as kms:
        for attempt in (
            lambda: kms.sign(edited, digest=DIGEST),
            lambda: kms.verify(edited, sigs, digest=DIGEST),
            lambda: kms.get(edited),
        ):
            with pytest.raises(StoreCorrupt, match="key_versions"):
                attempt()
        results = kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in (edited, intact)])
        assert results[0].error.code == "StoreCorrupt"  # type: ignore[union-attr]
        assert not results[1].error
        verified = kms.verify_batch([{"kid": kid, "digest": DIGEST, "sigs": sigs} for kid in (edited, intact)])
        assert verified[0].error.code == "StoreCorrupt"  # type: ignore[union-attr]
        assert verified[1].ok is False


def test_a_row_edited_after_it_was_cached_still_signs_with_the_genuine_key(place: Place) -> None:
    with place.open() as kms:
        [kid] = make(kms, 1)
        sigs = kms.sign(kid, digest=DIGEST).sigs
        place.edit("UPDATE key_versions SET public = zeroblob(40) WHERE uuid = ?", Kid.parse(kid).uuid)
        assert kms.sign(kid, digest=DIGEST).sigs == sigs
        assert kms.verify(kid, sigs, digest=DIGEST).ok


def test_what_is_in_memory_works_without_the_store_item_by_item(place: Place) -> None:
    with place.open() as kms:
        warm, public, cold = make(kms, 3)
        sigs = kms.sign(cold, digest=DIGEST).sigs
    with place.open() as kms:
        kms.sign(warm, digest=DIGEST)
        kms.verify(public, sigs, digest=DIGEST)
        kms._kms.database.close()
        # Signing with a key that is open, verifying with what is cached: as before.
        assert kms.sign(warm, digest=DIGEST).kid == warm
        assert kms.verify(public, sigs, digest=DIGEST).cache_age_ms is not None
        for attempt in (
            lambda: kms.sign(public, digest=DIGEST),
            lambda: kms.sign(cold, digest=DIGEST),
            lambda: kms.verify(cold, sigs, digest=DIGEST),
        ):
            with pytest.raises(StoreUnavailable):
                attempt()
        kids = (warm, public, cold)
        signed = kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in kids])
        assert [item.error.code if item.error else None for item in signed] == [
            None,
            "StoreUnavailable",
            "StoreUnavailable",
        ]
        assert signed[1].error.retryable  # type: ignore[union-attr]
        verified = kms.verify_batch([{"kid": kid, "digest": DIGEST, "sigs": sigs} for kid in kids])
        assert [item.error.code if item.error else None for item in verified] == [None, None, "StoreUnavailable"]
        with pytest.raises(StoreUnavailable):
            kms.create(tenant="core", purpose="audit")


def test_a_key_that_could_not_be_stored_is_not_remembered(place: Place) -> None:
    with place.open() as kms:
        make(kms, 1)
        kms._kms.database.close()
        with pytest.raises(StoreUnavailable):
            make(kms, 1)
        assert kms._kms.custodian.loaded == 0
    with place.open() as kms:
        assert len(kms.list_keys().keys) == 1


def test_closing_wipes_every_key(place: Place) -> None:
    kms = place.open()
    [kid] = make(kms, 1)
    kms.sign(kid, digest=DIGEST)
    slot = kms._kms.custodian.find(Kid.parse(kid))
    seal = kms._kms.custodian._keys.tenant_seal("core")
    assert slot is not None
    kms.close()
    assert slot.closed
    assert seal.closed
    with pytest.raises(CoreError, match="released"):
        seal.mac(b"")
