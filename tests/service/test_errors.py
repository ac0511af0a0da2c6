"""Everything a caller can get wrong, and the one error that each is answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import UNSET

from ron_kms.errors import (
    BadRequest,
    Conflict,
    Internal,
    KeyDisabled,
    KmsError,
    NotFound,
    StoreUnavailable,
    Unsupported,
)
from ron_kms.model import Kid, new_uuid
from ron_kms.service.local import LocalKms
from tests.service.later import add_version, set_state, update_key
from tests.service.place import DIGEST, Place

UUID = "01a2099d-317d-73cd-91c8-1b1afac33f25"


@pytest.fixture(scope="module")
def kid(shared: LocalKms) -> str:
    return shared.create(tenant="core", purpose="audit", suite="ed25519")


@pytest.fixture(scope="module")
def raw(shared: LocalKms) -> str:
    return shared.create(tenant="core", purpose="audit", suite="ed25519", raw_messages=True)


@pytest.mark.parametrize("name", ["", "A", "ä", "a b", "-a", ".a", "_a", "a/b", "a" * 64, "a\n", "a#v1", None, 5])
@pytest.mark.parametrize("field", ["tenant", "purpose"])
def test_names_that_cannot_be(shared: LocalKms, field: str, name: Any) -> None:
    fields = {"tenant": "core", "purpose": "audit", field: name}
    with pytest.raises(BadRequest):
        shared.create(**fields)


@pytest.mark.parametrize("name", ["a", "0", "a" * 63, "a.b_c-d", "0--"])
def test_names_that_can(shared: LocalKms, name: str) -> None:
    assert shared.create(tenant=name, purpose=name, suite="ed25519").startswith(f"{name}/{name}/")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"suite": "rsa"}, Unsupported),
        ({"suite": ""}, Unsupported),
        ({"suite": "ED25519"}, Unsupported),
        ({"suite": "ml-dsa-65+ed25519"}, Unsupported),
        ({"suite": "x25519"}, Unsupported),
        ({"suite": "a" * 65}, BadRequest),
        ({"suite": 5}, BadRequest),
        ({"use": "wrap", "suite": "ed25519"}, Unsupported),
        ({"use": "seal", "suite": "hybrid"}, Unsupported),
        ({"use": "dance"}, BadRequest),
        ({"raw_messages": "yes"}, BadRequest),
        ({"raw_messages": 1}, BadRequest),
        ({"labels": {"": "empty"}}, BadRequest),
        ({"labels": {"a" * 64: ""}}, BadRequest),
        ({"labels": {"a": "b" * 256}}, BadRequest),
        ({"labels": {str(i): "" for i in range(33)}}, BadRequest),
        ({"labels": {"a": 5}}, BadRequest),
        ({"labels": {5: "a"}}, BadRequest),
        ({"labels": ["a"]}, BadRequest),
        ({"labels": {"a": object()}}, BadRequest),
        ({"op_id": "not-a-uuid"}, BadRequest),
        ({"op_id": UUID.upper()}, BadRequest),
        ({"op_id": UUID + "\n"}, BadRequest),
    ],
)
def test_fields_of_create_that_cannot_be(shared: LocalKms, fields: dict[str, Any], error: type[KmsError]) -> None:
    before = len(shared.list_keys("create").keys)
    with pytest.raises(error):
        shared.create(**{"tenant": "create", "purpose": "audit", **fields})
    assert len(shared.list_keys("create").keys) == before


WRONG_KIDS = [
    "",
    "core/audit",
    "core/audit/" + "0" * 36,
    f"core/audit/{UUID}#v0",
    f"core/audit/{UUID}#v01",
    f"core/audit/{UUID}#v",
    f"core/audit/{UUID}#v1 ",
    f"core/audit/{UUID}#v1000000000",
    f"core/audit/{UUID.upper()}",
    f"Core/audit/{UUID}",
    f"core//{UUID}",
    f"core/audit/{UUID}/more",
    "core/audit/123e4567-e89b-42d3-a456-426614174000",  # version 4
    "x" * 200,
    "\0" * 50,
]


@pytest.mark.parametrize("wrong", WRONG_KIDS)
def test_kids_that_cannot_be(shared: LocalKms, wrong: str) -> None:
    attempts: list[Callable[[], object]] = [
        lambda: shared.sign(wrong, digest=DIGEST),
        lambda: shared.verify(wrong, [], digest=DIGEST),
        lambda: shared.get(wrong),
    ]
    for attempt in attempts:
        with pytest.raises(BadRequest):
            attempt()


def test_keys_that_do_not_exist(shared: LocalKms, kid: str) -> None:
    there = Kid.parse(kid)
    absent = [
        Kid("core", "audit", new_uuid(), 1),
        Kid("other", there.purpose, there.uuid, 1),
        Kid(there.tenant, "other", there.uuid, 1),
        there.at(2),
        there.at(999_999_999),
    ]
    for name in absent:
        for attempt in (
            lambda: shared.sign(str(name), digest=DIGEST),  # noqa: B023
            lambda: shared.verify(str(name), [], digest=DIGEST),  # noqa: B023
        ):
            with pytest.raises(NotFound, match="there is no such key"):
                attempt()
    for name in absent[:3]:
        with pytest.raises(NotFound, match="there is no such key"):
            shared.get(str(name))


def test_verify_wants_a_version(shared: LocalKms, kid: str) -> None:
    with pytest.raises(BadRequest, match="version"):
        shared.verify(kid.removesuffix("#v1"), [], digest=DIGEST)


@pytest.mark.parametrize("digest", [b"", bytes(31), bytes(33), "text", 5, [1]])
def test_digests_that_cannot_be(shared: LocalKms, kid: str, digest: Any) -> None:
    for attempt in (
        lambda: shared.sign(kid, digest=digest),
        lambda: shared.verify(kid, [], digest=digest),
    ):
        with pytest.raises(BadRequest):
            attempt()


def test_exactly_one_of_digest_and_message(shared: LocalKms, raw: str) -> None:
    for fields in ({}, {"digest": DIGEST, "message": b"message"}):
        with pytest.raises(BadRequest, match="exactly one"):
            shared.sign(raw, **fields)  # type: ignore[arg-type]
        with pytest.raises(BadRequest, match="exactly one"):
            shared.verify(raw, [], **fields)  # type: ignore[arg-type]


def test_messages_need_a_key_for_them(shared: LocalKms, kid: str, raw: str) -> None:
    with pytest.raises(Unsupported, match="digests only"):
        shared.sign(kid, message=b"message")
    with pytest.raises(Unsupported, match="digests only"):
        shared.verify(kid, [], message=b"message")
    assert shared.sign(raw, digest=DIGEST).sigs  # such a key takes digests too


@pytest.mark.parametrize("message", [b"ron-kms-", b"ron-kms-b3-v1\0ed25519\0" + DIGEST, b"ron-kms-anything"])
def test_reserved_messages_are_refused(shared: LocalKms, raw: str, message: bytes) -> None:
    with pytest.raises(BadRequest, match="ron-kms-"):
        shared.sign(raw, message=message)
    with pytest.raises(BadRequest, match="ron-kms-"):
        shared.verify(raw, [], message=message)
    assert shared.sign(raw, message=b"x" + message).sigs
    assert shared.sign(raw, message=message[:7]).sigs


def test_messages_have_a_bound(shared: LocalKms, raw: str) -> None:
    with pytest.raises(BadRequest):
        shared.sign(raw, message=bytes(64 * 1024 + 1))


@pytest.mark.parametrize(
    "sigs",
    [
        [("ed25519", b"")] * 9,
        [("e" * 33, b"")],
        [("ed25519", bytes(8193))],
        [("ed25519", "text")],
        [(5, b"")],
    ],
)
def test_signatures_that_cannot_be(shared: LocalKms, kid: str, sigs: Any) -> None:
    with pytest.raises(BadRequest):
        shared.verify(kid, sigs, digest=DIGEST)


@pytest.mark.parametrize("state", ["disabled", "pending-destruction", "destroyed", "compromised"])
def test_a_version_signs_only_while_it_is_enabled(place: Place, state: str) -> None:
    with place.open() as kms:
        kid = kms.create(tenant="core", purpose="audit", suite="ed25519")
        signed = kms.sign(kid, digest=DIGEST)
        set_state(kms, kid, state)
    with place.open() as kms:
        with pytest.raises(KeyDisabled, match=state):
            kms.sign(kid, digest=DIGEST)
        assert kms.verify(kid, signed.sigs, digest=DIGEST).ok is (state != "compromised")


def test_only_the_newest_version_signs(place: Place) -> None:
    with place.open() as kms:
        kid = kms.create(tenant="core", purpose="audit", suite="ed25519")
        signed = kms.sign(kid, digest=DIGEST)
        add_version(kms, kid)
    with place.open() as kms:
        with pytest.raises(Conflict, match="newest"):
            kms.sign(kid, digest=DIGEST)
        newest = kms.sign(kid.removesuffix("#v1"), digest=DIGEST)
        assert newest.kid == kid.replace("#v1", "#v2")
        # New versions never break what the old ones signed.
        assert kms.verify(kid, signed.sigs, digest=DIGEST).ok
        assert not kms.verify(newest.kid, signed.sigs, digest=DIGEST).ok
        assert [version.kid for version in kms.get(kid).versions] == [kid, newest.kid]


def test_a_key_for_another_use_does_not_sign(place: Place) -> None:
    with place.open() as kms:
        kid = kms.create(tenant="core", purpose="audit", suite="ed25519")
        update_key(kms, kid, use="wrap")
    with place.open() as kms:
        with pytest.raises(Unsupported, match="wrap"):
            kms.sign(kid, digest=DIGEST)
        with pytest.raises(Unsupported, match="wrap"):
            kms.verify(kid, [], digest=DIGEST)


def test_a_closed_service(place: Place) -> None:
    kms = place.open()
    kid = kms.create(tenant="core", purpose="audit", suite="ed25519")
    sigs = kms.sign(kid, digest=DIGEST).sigs
    kms.close()
    kms.close()
    for attempt in (lambda: kms.sign(kid, digest=DIGEST), lambda: kms.get(kid), kms.list_keys):
        with pytest.raises(StoreUnavailable, match="closed"):
            attempt()
    with pytest.raises(Internal, match="released"):
        kms.create(tenant="core", purpose="audit")
    assert kms.verify(kid, sigs, digest=DIGEST).ok  # by the cached public key


def test_errors_tell_what_to_do(shared: LocalKms, raw: str) -> None:
    with pytest.raises(Unsupported) as unsupported:
        shared.create(tenant="core", purpose="audit", suite="rsa")
    assert "ed25519" in unsupported.value.hint
    [result] = shared.sign_batch([{"kid": raw, "message": b"ron-kms-"}])
    assert result.error is not UNSET
    assert (result.error.code, result.error.retryable) == ("BadRequest", False)
    assert result.error.hint
