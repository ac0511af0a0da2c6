"""Batches: every item by itself, in order, whatever the others are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from ron_kms.crypto.suites import SUITES
from ron_kms.errors import BadRequest
from ron_kms.model import Kid, new_uuid
from ron_kms.service.local import LocalKms
from ron_kms.service.schema import ITEMS_MAX
from tests.service.place import DIGEST, Place, counting


def digest(i: int) -> bytes:
    return i.to_bytes(32, "big")


def test_a_full_batch_over_fifty_keys_in_order(place: Place) -> None:
    with place.open() as kms:
        suites = [suite.name for suite in SUITES.values() if suite.use == "sign"]
        kids = [kms.create(tenant="core", purpose="audit", suite=suites[i % len(suites)]) for i in range(50)]
    with place.open() as kms:  # cold: nothing is cached, no key is open
        items = [{"kid": kids[i * 7 % 50], "digest": digest(i)} for i in range(ITEMS_MAX)]
        with counting(kms) as counted:
            results = kms.sign_batch(items)
        assert counted.reads == 3  # public rows, the policy, blobs: each all together
        assert [result.kid for result in results] == [item["kid"] for item in items]
        assert not any(result.error for result in results)
        verified = kms.verify_batch(
            [{**item, "sigs": result.sigs} for item, result in zip(items, results, strict=True)]  # type: ignore[dict-item]
        )
        assert len(verified) == ITEMS_MAX
        assert all(result.ok and result.details.satisfied_mode for result in verified)  # type: ignore[union-attr]
        # Each signature belongs to its own digest.
        crossed = kms.verify_batch(
            [
                {**item, "sigs": result.sigs}
                for item, result in zip(items[:100], results[50:150], strict=True)  # the same keys, other digests
            ]
        )
        assert not any(result.ok for result in crossed)


def test_every_item_fails_by_itself(shared: LocalKms) -> None:
    plain = shared.create(tenant="core", purpose="audit", suite="ed25519")
    raw = shared.create(tenant="core", purpose="audit", suite="ml-dsa-44", raw_messages=True)
    absent = str(Kid("core", "audit", new_uuid(), 1))
    cases: list[tuple[dict[str, Any], str | None]] = [
        ({"kid": plain, "digest": DIGEST}, None),
        ({"kid": absent, "digest": DIGEST}, "NotFound"),
        ({"kid": plain, "message": b"m"}, "Unsupported"),
        ({"kid": raw, "message": b"m"}, None),
        ({"kid": raw, "message": b"ron-kms-b3-v1\0"}, "BadRequest"),
        ({"kid": raw, "message": b"m", "digest": DIGEST}, "BadRequest"),
        ({"kid": plain}, "BadRequest"),
        ({"digest": DIGEST}, "BadRequest"),
        ({"kid": plain.replace("#v1", "#v2"), "digest": DIGEST}, "NotFound"),
        ({"kid": "x" * 50, "digest": DIGEST}, "BadRequest"),
        ({"kid": plain.removesuffix("#v1"), "digest": DIGEST}, None),
    ]
    results = shared.sign_batch([item for item, _ in cases])
    for result, (_, code) in zip(results, cases, strict=True):
        assert (result.error.code if result.error else None) == code  # type: ignore[union-attr]
        assert (result.sigs is UNSET) == (result.kid is UNSET) == (code is not None)
    again = [
        {"kid": result.kid or plain, "sigs": result.sigs or [], **{k: v for k, v in item.items() if k != "kid"}}
        for result, (item, _) in zip(results, cases, strict=True)
    ]
    verified = shared.verify_batch(again)
    assert [result.ok is True for result in verified] == [code is None for _, code in cases]


def test_an_items_kid_goes_before_the_batchs(shared: LocalKms) -> None:
    one, two = (shared.create(tenant="core", purpose="audit", suite="ed25519") for _ in range(2))
    results = shared.sign_batch([{"digest": DIGEST}, {"kid": two, "digest": DIGEST}], kid=one)
    assert [result.kid for result in results] == [one, two]
    items = [{"digest": DIGEST, "sigs": results[0].sigs}, {"kid": two, "digest": DIGEST, "sigs": results[1].sigs}]
    assert [result.ok for result in shared.verify_batch(items, kid=one)] == [True, True]
    assert [result.ok for result in shared.verify_batch(items, kid=two)] == [False, True]
    wrong_batch = shared.sign_batch([{"digest": DIGEST}, {"kid": two, "digest": DIGEST}], kid="x" * 50)
    assert [bool(result.error) for result in wrong_batch] == [True, False]


def test_the_bounds_of_a_batch(shared: LocalKms) -> None:
    kid = shared.create(tenant="core", purpose="audit", suite="ed25519")
    assert shared.sign_batch([]) == []
    assert shared.verify_batch([]) == []
    with pytest.raises(BadRequest):
        shared.sign_batch([{"digest": DIGEST}] * (ITEMS_MAX + 1), kid=kid)
    with pytest.raises(BadRequest):
        shared.verify_batch([{"digest": DIGEST, "sigs": []}] * (ITEMS_MAX + 1), kid=kid)


@pytest.mark.parametrize("items", [[{"unknown": 1}], [{"op_id": "x"}], [5], ["text"], [None], {}, "text", 5])
def test_what_does_not_fit_the_schema_is_refused_as_a_whole(shared: LocalKms, items: Any) -> None:
    with pytest.raises(BadRequest):
        shared.sign_batch(items)


def test_unknown_fields_of_verification_are_refused_as_a_whole(shared: LocalKms) -> None:
    for wrong in ({"unknown": 1}, {"op_id": new_uuid()}, {"policy": "and"}):
        with pytest.raises(BadRequest):
            shared.verify_batch([{"digest": DIGEST, "sigs": [], **wrong}])


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=32, max_size=32)), max_size=12))
def test_a_batch_equals_its_items(shared: LocalKms, order: list[tuple[int, bytes]]) -> None:
    kids = [key.kid + "#v1" for key in shared.list_keys("equal").keys] or [
        shared.create(tenant="equal", purpose="audit", suite="ed25519") for _ in range(3)
    ]
    items = [{"kid": kids[which], "digest": own} for which, own in order]
    results = shared.sign_batch(items)
    singles = [shared.sign(kids[which], digest=own) for which, own in order]
    assert [(result.kid, result.sigs) for result in results] == [(single.kid, single.sigs) for single in singles]


def test_a_cold_key_is_opened_once_for_a_batch(place: Place) -> None:
    with place.open(key_slots=16) as kms:
        kids = [kms.create(tenant="core", purpose="audit", suite="ed25519") for _ in range(16)]
        for kid in kids[1:]:
            kms.sign(kid, digest=DIGEST)
        assert kms._kms.custodian.loaded == 15
        kms.sign_batch([{"digest": DIGEST}] * ITEMS_MAX, kid=kids[0])
        # Nobody had to make room: had each item opened the key anew, the others would be gone.
        assert kms._kms.custodian.loaded == 16
        with counting(kms) as counted:
            kms.sign_batch([{"kid": kid, "digest": DIGEST} for kid in kids])
        assert counted.reads == 0
