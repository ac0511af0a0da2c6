"""``op_id``: the first answer again, and nothing done twice; also after a restart, and when the key has moved on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ron_kms.errors import Conflict
from ron_kms.service.local import LocalKms
from tests.life.place import Place, make

OP = "a7a3a1a0-0000-4000-8000-000000000001"
OTHER = "a7a3a1a0-0000-4000-8000-000000000002"

Verb = Callable[[LocalKms, str, str], object]

VERBS: dict[str, Verb] = {
    "create": lambda kms, key, op: kms.create(tenant="acme", purpose="audit", op_id=op),
    "rotate": lambda kms, key, op: kms.rotate(key, op_id=op),
    "destroy": lambda kms, key, op: kms.destroy(key, op_id=op),
    "destroy-version": lambda kms, key, op: kms.destroy(f"{key}#v1", op_id=op),
}


def picture(kms: LocalKms) -> object:
    """Everything that there is."""
    return [kms.get(key.kid) for key in kms.list_keys().keys]


@pytest.mark.parametrize("verb", VERBS)
def test_a_repetition_gives_the_first_answer_and_does_nothing_also_after_a_restart(place: Place, verb: str) -> None:
    act = VERBS[verb]
    with place.open() as kms:
        key = make(kms)
        first = act(kms, key, OP)
        after = picture(kms)
        assert act(kms, key, OP) == first
    with place.open() as kms:
        assert act(kms, key, OP) == first
        assert picture(kms) == after


@pytest.mark.parametrize("verb", ["rotate", "destroy"])
def test_it_is_answered_though_the_key_has_moved_on(kms: LocalKms, verb: str) -> None:
    key = make(kms)
    first = VERBS[verb](kms, key, OP)
    if verb == "destroy":
        kms.restore(key)
    kms.rotate(key, suite="ml-dsa-65")
    kms.destroy(key)
    assert VERBS[verb](kms, key, OP) == first


def test_other_fields_are_a_conflict(kms: LocalKms) -> None:
    key, other = make(kms), make(kms)
    for verb, act in VERBS.items():
        if verb != "destroy-version":
            act(kms, key, OP)
    for again in (
        lambda: kms.create(tenant="acme", purpose="other", op_id=OP),
        lambda: kms.rotate(other, op_id=OP),
        lambda: kms.rotate(key, suite="hybrid", op_id=OP),
        lambda: kms.destroy(other, op_id=OP),
        lambda: kms.destroy(key, window_seconds=8 * 86400, op_id=OP),
        lambda: kms.destroy(f"{key}#v1", op_id=OP),
    ):
        with pytest.raises(Conflict, match="op_id"):
            again()


def test_defaults_that_are_named_are_the_same_fields(kms: LocalKms) -> None:
    key = make(kms)
    assert kms.destroy(key, op_id=OP) == kms.destroy(key, window_seconds=30 * 86400, op_id=OP)


@pytest.mark.parametrize("verb", ["create", "rotate", "destroy"])
def test_repetitions_at_once_are_one(kms: LocalKms, verb: str) -> None:
    key = make(kms)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: VERBS[verb](kms, key, OP), range(16)))
    assert all(answer == answers[0] for answer in answers)
    assert len(kms.list_keys().keys) == 1 + (verb == "create")
    assert kms.get(key).etag == ("1" if verb == "create" else "2")


def test_a_refusal_is_not_kept(kms: LocalKms) -> None:
    key = make(kms)
    kms.update(key, deletion_protection=True)
    with pytest.raises(Conflict, match="protected"):
        kms.destroy(key, op_id=OP)
    kms.update(key, deletion_protection=False)
    kms.destroy(key, op_id=OP)
    with pytest.raises(Conflict, match="already"):
        kms.destroy(key, op_id=OTHER)
