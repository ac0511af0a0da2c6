"""``op_id``: however often and from however many threads a request is repeated, it makes one key."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ron_kms.errors import Conflict, NoCapability
from ron_kms.model import new_uuid
from ron_kms.service.local import LocalKms
from tests.service.place import DIGEST, Place, act, caller

FIELDS: dict[str, Any] = {"tenant": "core", "purpose": "audit", "suite": "ed25519", "labels": {"a": "1", "b": "2"}}


def count(kms: LocalKms) -> int:
    return len(kms.list_keys(limit=1000).keys)


def test_a_repeated_request_gets_the_first_answer(kms: LocalKms) -> None:
    op_id = new_uuid()
    by = caller()
    first = act(kms, by, "create", use="sign", op_id=op_id, **FIELDS)
    again = act(kms, by, "create", use="sign", op_id=op_id, **FIELDS)
    assert again == first
    assert count(kms) == 1
    assert kms.sign(again.kid, digest=DIGEST).kid == first.kid


def test_it_is_kept_with_the_key(place: Place) -> None:
    op_id = new_uuid()
    with place.open() as kms:
        kid = kms.create(op_id=op_id, **FIELDS)
    with place.open() as kms:
        assert kms.create(op_id=op_id, **FIELDS) == kid
        assert count(kms) == 1


def test_the_decoded_fields_count_and_not_their_order(kms: LocalKms) -> None:
    op_id = new_uuid()
    kid = kms.create(op_id=op_id, **FIELDS)
    assert kms.create(op_id=op_id, **{**FIELDS, "labels": {"b": "2", "a": "1"}}) == kid
    assert kms.create(op_id=op_id, **FIELDS, raw_messages=False) == kid  # what is left out has its default


@pytest.mark.parametrize(
    "other",
    [
        {"purpose": "release"},
        {"suite": "ml-dsa-44"},
        {"labels": {"a": "1"}},
        {"labels": None},
        {"raw_messages": True},
    ],
)
def test_other_fields_conflict(kms: LocalKms, other: dict[str, Any]) -> None:
    op_id = new_uuid()
    kms.create(op_id=op_id, **FIELDS)
    with pytest.raises(Conflict, match="other fields"):
        kms.create(**{**FIELDS, **other, "op_id": op_id})
    assert count(kms) == 1


def test_tenants_and_tokens_have_their_own(kms: LocalKms) -> None:
    op_id = new_uuid()
    fields = {"use": "sign", "op_id": op_id, **FIELDS}
    one = act(kms, caller(token_id="one"), "create", **fields)
    two = act(kms, caller(token_id="two"), "create", **fields)
    other = act(kms, caller(token_id="one"), "create", **{**fields, "tenant": "other"})
    assert len({one.kid, two.kid, other.kid}) == 3
    assert count(kms) == 3


def test_a_repetition_is_authorised_anew(kms: LocalKms) -> None:
    op_id = new_uuid()
    act(kms, caller(), "create", use="sign", op_id=op_id, **FIELDS)
    with pytest.raises(NoCapability):
        act(kms, caller("mine"), "create", use="sign", op_id=op_id, **FIELDS)


def test_a_failed_request_may_be_repeated(kms: LocalKms) -> None:
    op_id = new_uuid()
    kid = kms.create(**{**FIELDS, "op_id": op_id})
    with pytest.raises(Conflict):
        kms.create(**{**FIELDS, "op_id": op_id, "purpose": "other"})
    assert kms.create(**{**FIELDS, "op_id": op_id}) == kid


def test_once_from_many_threads(kms: LocalKms) -> None:
    op_ids = [new_uuid() for _ in range(6)]
    with ThreadPoolExecutor(8) as pool:
        kids = list(pool.map(lambda op_id: kms.create(op_id=op_id, **FIELDS), op_ids * 8))
    assert len(set(kids)) == len(op_ids)
    assert kids == kids[: len(op_ids)] * 8
    assert count(kms) == len(op_ids)


def test_one_winner_among_threads_with_other_fields(kms: LocalKms) -> None:
    op_id = new_uuid()

    def make(i: int) -> str:
        try:
            return kms.create(**{**FIELDS, "op_id": op_id, "labels": {"i": str(i)}})
        except Conflict:
            return "conflict"

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(make, range(16)))
    assert outcomes.count("conflict") == 15
    assert count(kms) == 1
