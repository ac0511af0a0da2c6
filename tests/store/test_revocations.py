"""Revocations and what was minted: bounded, in order, and none of them is missed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, func, select

from ron_kms._core import SecretKey
from ron_kms.errors import Conflict
from ron_kms.model import new_uuid
from ron_kms.store import changes, minted, revocations
from ron_kms.store.bootstrap import Store
from ron_kms.store.minted import Minted, insert_minted, list_minted, minted_with
from ron_kms.store.revocations import Revocation, find_revocations, load_revocations, read_change, revoke
from ron_kms.store.schema import REVOCATIONS, TOKENS
from ron_kms.store.tokens import ROOTS_MAX, TokenRoot, after_all, insert_token_root, list_token_roots, retire_token_root

HOUR = timedelta(hours=1)
LONG = revocations.KEPT_LONGER + HOUR


def now() -> datetime:
    return datetime.now(UTC)


def gone(until: datetime | None = None, revoked: datetime | None = None) -> Revocation:
    return Revocation(new_uuid(), revoked or now(), "by", until)


def enter(store: Store, tenant: str, *some: Revocation) -> None:
    store.database.write(lambda c: revoke(c, store.rows, tenant, some)).result()


def loaded(store: Store) -> dict[str, float | None]:
    return store.database.read(lambda c: load_revocations(c, store.rows)).result()


def numbers(store: Store, tenant: str) -> list[int]:
    query = select(REVOCATIONS.c.n).where(REVOCATIONS.c.tenant == tenant).order_by(REVOCATIONS.c.n)
    return store.database.read(lambda c: list(c.execute(query).scalars())).result()


def a_token(reach: str = "acme", *, by: str = "", expires: datetime | None = None, root: str = "r") -> Minted:
    return Minted(new_uuid(), tuple(filter(None, reach.split("/"))), ("kms:sign",), None, expires, root, by, "", now())


def test_they_come_back_with_the_moment_until_which_they_matter(store: Store) -> None:
    assert loaded(store) == {}
    some = [gone(), gone(now() + HOUR), gone(now() + 2 * HOUR)]
    enter(store, "acme", *some[:2])
    enter(store, "", some[2])
    expected = {one.token_id: None if one.until is None else one.until.timestamp() for one in some}
    assert loaded(store) == expected
    told = store.database.read(lambda c: changes.since(c, store.rows, 0, 10)).result()
    assert {change.kind for change in told} == {"token"}
    assert dict(read_change(change.id) for change in told) == expected
    found = store.database.read(lambda c: find_revocations(c, store.rows, [some[0].token_id, "x"])).result()
    assert found == {some[0].token_id: some[0]}


def test_the_oldest_leave_when_they_do_not_matter_any_more_and_the_others_stay(store: Store) -> None:
    kept = [gone(), gone(now() + HOUR)]
    enter(store, "acme", kept[0], gone(now() - LONG), gone(now() - LONG), kept[1])
    assert loaded(store).keys() == {one.token_id for one in kept}
    assert numbers(store, "acme") == [4, 5], "no number is given twice"
    more = [gone() for _ in range(3)]
    for one in more:
        enter(store, "acme", one)
    assert loaded(store).keys() == {one.token_id for one in (*kept, *more)}
    assert numbers(store, "acme") == [4, 5, 6, 7, 8]


def test_their_number_stays_near_that_of_those_that_matter(store: Store) -> None:
    lasting = [gone() for _ in range(20)]
    enter(store, "acme", *lasting)
    for _ in range(100):
        enter(store, "acme", gone(now() - LONG))
        assert len(numbers(store, "acme")) <= 24
    assert loaded(store).keys() >= {one.token_id for one in lasting}


def test_a_retired_root_takes_the_revocations_of_its_tokens_along(store: Store) -> None:
    sealing = store.keys.derive("token-roots")
    start = now()

    def root(connection: Connection, name: str, created: datetime) -> None:
        insert_token_root(connection, store.rows, sealing, TokenRoot(name, SecretKey.generate(), created, None))

    store.database.write(lambda c: root(c, "old", start - 2 * HOUR)).result()
    enter(store, "", gone(revoked=start - HOUR))
    store.database.write(lambda c: root(c, "new", start)).result()
    enter(store, "", gone(revoked=start + HOUR))
    assert len(loaded(store)) == 2
    store.database.write(lambda c: retire_token_root(c, store.rows, "old", now())).result()
    last = gone(revoked=start + HOUR)
    enter(store, "", last)
    assert len(loaded(store)) == 2
    assert last.token_id in loaded(store)
    sealing.release()


def test_a_clock_that_is_set_back_or_was_ahead_brings_no_token_back(store: Store) -> None:
    sealing, ahead = store.keys.derive("token-roots"), now() + HOUR

    def root(connection: Connection, name: str) -> None:
        created = after_all(connection, store.rows, now() if name else ahead)
        insert_token_root(connection, store.rows, sealing, TokenRoot(name, SecretKey.generate(), created, None))

    store.database.write(lambda c: root(c, "")).result()
    set_back, expired = gone(), gone(now() - HOUR)
    enter(store, "acme", set_back, expired)
    for _ in range(4):
        enter(store, "acme", gone(now() - LONG))
    assert loaded(store).keys() >= {set_back.token_id, expired.token_id}
    store.database.write(lambda c: root(c, "newer")).result()
    known = store.database.read(lambda c: list_token_roots(c, store.rows)).result()
    assert [one.id for one in known] == ["", "newer"], "the order in which they were made"
    sealing.release()


def test_as_many_roots_as_are_useful_and_no_more(store: Store) -> None:
    sealing, key = store.keys.derive("token-roots"), SecretKey.generate()

    def add(name: str) -> None:
        store.database.write(
            lambda c: insert_token_root(c, store.rows, sealing, TokenRoot(name, key, now(), None))
        ).result()

    for n in range(ROOTS_MAX):
        add(f"root-{n}")
    with pytest.raises(Conflict, match=str(ROOTS_MAX)):
        add("more")
    store.database.write(lambda c: retire_token_root(c, store.rows, "root-5", now())).result()
    add("more")
    known = store.database.read(lambda c: list_token_roots(c, store.rows)).result()
    assert len(known) == ROOTS_MAX
    assert "root-5" not in {root.id for root in known}
    sealing.release()


def test_what_was_minted_is_listed_by_reach_and_by_minter(store: Store) -> None:
    reaches = ["", "acme", "acme/audit", "acme-prod", "acme0", "acme/audit-2", "core"]
    rows = {reach: a_token(reach) for reach in reaches}
    child = a_token("core/x", by=rows["core"].id)
    grandchild = a_token("core/x", by=child.id)
    for one in (*rows.values(), child, grandchild):
        store.database.write(lambda c, one=one: insert_minted(c, store.rows, one)).result()

    def listed(*reach: str, after: str | None = None, limit: int = 100) -> list[Minted]:
        return store.database.read(lambda c: list_minted(c, store.rows, reach, after, limit)).result()

    assert len(listed()) == 9
    assert {one.reach for one in listed("acme")} == {("acme",), ("acme", "audit"), ("acme", "audit-2")}
    assert {one.reach for one in listed("acme", "audit")} == {("acme", "audit")}
    first, second = listed(limit=5), listed(after=listed(limit=5)[-1].id)
    assert [one.id for one in first + second] == sorted(one.id for one in (*rows.values(), child, grandchild))
    heirs = store.database.read(lambda c: list(minted_with(c, store.rows, rows["core"].id))).result()
    assert heirs == [child, grandchild]


def test_expired_tokens_make_room(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minted, "TOKENS_MAX", 3)

    def add(one: Minted) -> None:
        store.database.write(lambda c: insert_minted(c, store.rows, one)).result()

    add(a_token(expires=now() - HOUR))
    for _ in range(3):
        add(a_token("acme/audit", expires=now() + HOUR))
    with pytest.raises(Conflict, match="3 tokens"):
        add(a_token())
    add(a_token("acme-prod"))
    add(a_token(""))
    count = store.database.read(lambda c: c.execute(select(func.count()).select_from(TOKENS)).scalar_one()).result()
    assert count == 5


def test_what_is_not_listed_is_revoked_only_so_often(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revocations, "UNLISTED_MAX", 1)
    store.database.read(revocations.require_room).result()
    enter(store, "", gone())
    with pytest.raises(Conflict):
        store.database.read(revocations.require_room).result()
