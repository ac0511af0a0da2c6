"""Answers kept under an ``op_id``."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from ron_kms.errors import Conflict
from ron_kms.store import operations
from ron_kms.store.bootstrap import Store
from ron_kms.store.operations import KEPT, OpId
from ron_kms.store.schema import OPERATIONS
from tests.store.sample import NOW

OP = OpId("acme", "token", "create", "a7a3a1a0-0000-4000-8000-000000000001")
LATER = NOW + KEPT + timedelta(microseconds=1)


def find(store: Store, op: OpId = OP, digest: bytes = b"d", now: datetime = NOW) -> bytes | None:
    return store.database.read(lambda c: operations.find_answer(c, store.rows, op, digest, now)).result()


def keep(store: Store, op: OpId = OP, answer: bytes = b"answer", now: datetime = NOW) -> None:
    store.database.write(lambda c: operations.keep_answer(c, store.rows, op, b"d", answer, now)).result()


def kept(store: Store) -> int:
    return store.database.read(lambda c: c.execute(select(func.count()).select_from(OPERATIONS)).scalar_one()).result()


def test_the_first_answer_is_given_again(store: Store) -> None:
    assert find(store) is None
    keep(store)
    assert find(store) == b"answer"
    assert find(store, now=NOW + KEPT) == b"answer"


def test_other_fields_under_one_op_id_are_a_conflict(store: Store) -> None:
    keep(store)
    with pytest.raises(Conflict, match="other fields"):
        find(store, digest=b"other")


@pytest.mark.parametrize("field", OpId._fields)
def test_an_op_id_is_scoped(store: Store, field: str) -> None:
    keep(store)
    assert find(store, OP._replace(**{field: "other"})) is None


def test_keeping_twice_is_a_conflict(store: Store) -> None:
    keep(store)
    with pytest.raises(Conflict):
        keep(store, answer=b"second")
    assert find(store) == b"answer"


def test_after_a_week_it_is_new_again(store: Store) -> None:
    keep(store)
    assert find(store, now=LATER) is None
    assert find(store, digest=b"other", now=LATER) is None
    keep(store, answer=b"second", now=LATER)
    assert find(store, now=LATER) == b"second"


def test_old_ones_go_a_few_at_a_time_and_may_be_used_before_they_are_gone(store: Store) -> None:
    ops = [OP._replace(op_id=f"{n:03}") for n in range(100)]
    for n, op in enumerate(ops):
        keep(store, op, now=NOW + timedelta(seconds=n))
    keep(store, ops[99], b"again", now=LATER + timedelta(seconds=99))
    assert find(store, ops[99], now=LATER + timedelta(seconds=99)) == b"again"
    assert 60 <= kept(store) < 100
    for n in range(4):
        keep(store, OP._replace(op_id=f"new-{n}"), now=LATER + timedelta(seconds=99))
    assert kept(store) == 5
