"""Callers of one tenant or prefix: what is not theirs is not there, whether it exists or not."""

from __future__ import annotations

from typing import Any

import pytest

from ron_kms.errors import KmsError, NoCapability, NotFound
from ron_kms.model import Caller, Kid, new_uuid
from ron_kms.service.local import LocalKms
from tests.service.place import DIGEST, act, caller, counting


@pytest.fixture
def theirs(kms: LocalKms) -> str:
    return kms.create(tenant="theirs", purpose="audit", suite="ed25519", raw_messages=True)


OUTSIDE = [
    caller("mine"),
    caller("their"),  # the beginning of a name is not the name
    caller("theirs-too"),
    caller("theirs", "mine"),
    caller("theirs", "theirs/release"),
    caller("theirs", "theirs/audi"),
    caller("theirs", f"theirs/audit/{'0' * 8}-0000-7000-8000-{'0' * 12}"),
    caller(None, "theirs", "mine"),
    caller(None, "theirs/audit", "theirs/release"),
]
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("sign", {"digest": DIGEST}),
    ("sign", {"message": b"message"}),
    ("sign", {}),  # not even whether the request is well formed is told
    ("verify", {"digest": DIGEST, "sigs": []}),
    ("get", {}),
]


def answer(kms: LocalKms, by: Caller, name: str, kid: Kid, **fields: Any) -> tuple[type, str, str]:
    """What a refused caller is told."""
    if name == "get":
        fields |= {"tenant": kid.tenant, "purpose": kid.purpose, "uuid": kid.uuid}
    else:
        fields |= {"kid": str(kid)}
    with pytest.raises(KmsError) as error:
        act(kms, by, name, **fields)
    return type(error.value), error.value.message, error.value.hint


@pytest.mark.parametrize("by", OUTSIDE, ids=range(len(OUTSIDE)))
def test_existing_and_absent_keys_are_answered_alike_without_asking_the_store(
    kms: LocalKms, theirs: str, by: Caller
) -> None:
    existing = Kid.parse(theirs)
    absent = [existing._replace(uuid=new_uuid()), existing.at(7), existing._replace(purpose="other")]
    for cached in (False, True):
        with counting(kms) as counted:
            for name, fields in CALLS:
                told = answer(kms, by, name, existing, **fields)
                assert told[0] is NotFound
                assert {answer(kms, by, name, kid, **fields) for kid in absent if not by.may_use(kid)} <= {told}
        assert (counted.reads, counted.writes) == (0, 0)
        if not cached:
            kms.sign(theirs, digest=DIGEST)  # a key that is in memory tells no more


def test_a_caller_within_gets_the_same_answer_for_an_absent_key(kms: LocalKms, theirs: str) -> None:
    absent = Kid.parse(theirs)._replace(uuid=new_uuid())
    inside, outside = caller("theirs"), caller("mine")
    for name, fields in CALLS:
        assert answer(kms, inside, name, absent, **fields) == answer(kms, outside, name, absent, **fields)


INSIDE = [
    caller(),
    caller("theirs"),
    caller(None, "theirs"),
    caller("theirs", "theirs/audit"),
    caller(None, "theirs", "theirs/audit"),
]


@pytest.mark.parametrize("by", INSIDE, ids=range(len(INSIDE)))
def test_callers_within_may_use_it(kms: LocalKms, theirs: str, by: Caller) -> None:
    kid = Kid.parse(theirs)
    signed = act(kms, by, "sign", kid=theirs, digest=DIGEST)
    assert act(kms, by, "verify", kid=theirs, digest=DIGEST, sigs=signed.sigs).ok
    assert act(kms, by, "get", tenant=kid.tenant, purpose=kid.purpose, uuid=kid.uuid).kid == kid.key


def test_a_batch_answers_for_each_tenant(kms: LocalKms, theirs: str) -> None:
    mine = kms.create(tenant="mine", purpose="audit", suite="ed25519")
    absent = str(Kid("theirs", "audit", new_uuid(), 1))
    items = [{"kid": kid, "digest": DIGEST} for kid in (mine, theirs, absent, mine)]
    by = caller("mine")
    signed = act(kms, by, "sign:batch", items=items).items
    assert [bool(item.error) for item in signed] == [False, True, True, False]
    assert signed[1].error == signed[2].error
    verified = act(kms, by, "verify:batch", items=[{**item, "sigs": signed[0].sigs} for item in items]).items
    assert [item.ok is True for item in verified] == [True, False, False, True]
    assert verified[1].error == verified[2].error
    with counting(kms) as counted:
        act(kms, by, "sign:batch", items=items[1:3])
        act(kms, by, "sign:batch", items=[{"digest": DIGEST}] * 3, kid=theirs)
    assert counted.reads == 0


def test_only_within_ones_name_keys_are_made(kms: LocalKms) -> None:
    fields = {"use": "sign", "suite": "ed25519"}
    for by in (caller("mine"), caller(None, "mine"), caller(None, "theirs/release"), caller("theirs", "mine")):
        with counting(kms) as counted, pytest.raises(NoCapability):
            act(kms, by, "create", tenant="theirs", purpose="audit", **fields)
        assert counted.writes == 0
    # A prefix that names one key gives no right to make another beside it.
    with pytest.raises(NoCapability):
        act(kms, caller(None, f"theirs/audit/{new_uuid()}"), "create", tenant="theirs", purpose="audit", **fields)
    assert kms.list_keys().keys == []
    for by in (caller("theirs"), caller("theirs", "theirs/audit"), caller()):
        act(kms, by, "create", tenant="theirs", purpose="audit", **fields)
    assert len(kms.list_keys("theirs/audit").keys) == 3
