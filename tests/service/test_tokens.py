"""Minting, listing, revoking and the roots: never wider than the minter, and nobody governs what it does not cover."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ron_kms._core import SecretKey
from ron_kms.capabilities import caveats, tokens
from ron_kms.capabilities.caveats import ALL_SCOPES
from ron_kms.errors import BadRequest, Conflict, KmsError, NoCapability, NotFound, Unauthenticated
from ron_kms.model import Caller, new_uuid
from ron_kms.service import tokens as service_tokens
from ron_kms.service.local import LocalKms
from ron_kms.service.tokens import LIFETIME, MintAnswer
from ron_kms.store.database import Connection
from ron_kms.store.tokens import TokenRoot, insert_token_root, retire_token_root
from tests.service.place import Place, act

NOW = datetime.now(UTC)
SIGN = ["kms:sign"]


@pytest.fixture
def kms(place: Place) -> Iterator[LocalKms]:
    with place.open() as kms:
        act(kms, OWNER, "rotate-token-root")
        yield kms


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKms]:
    """For tests that do not count what is there."""
    with Place(tmp_path_factory.mktemp("common")).open() as kms:
        act(kms, OWNER, "rotate-token-root")
        yield kms


def caller(tenant: str | None = None, *prefixes: str, **fields: Any) -> Caller:
    known = {"token_id": new_uuid(), "scopes": ALL_SCOPES, **fields}
    return Caller(tenant=tenant, prefixes=tuple(tuple(prefix.split("/")) for prefix in prefixes), **known)


OWNER = caller()


def mint(kms: LocalKms, by: Caller = OWNER, **fields: Any) -> MintAnswer:
    return act(kms, by, "mint-token", **{"scopes": SIGN, **fields})


def check(kms: LocalKms, token: str, scope: str = "kms:sign") -> Caller:
    return kms._kms.issuer.checker.check(token, scope, time.time())


def refused(kms: LocalKms, token: str) -> bool:
    try:
        check(kms, token)
    except Unauthenticated:
        return True
    return False


def listed(kms: LocalKms, by: Caller = OWNER, **fields: Any) -> list[str]:
    return [one.id for one in act(kms, by, "list-tokens", **fields).tokens]


def test_it_may_what_was_asked_for(kms: LocalKms) -> None:
    soon = (NOW + timedelta(days=1)).replace(microsecond=0)
    made = mint(kms, tenant="acme", prefix="acme/audit", expires=soon, rate=7, label="the signer of audits")
    assert made.minted_by == OWNER.token_id
    allowed = check(kms, made.token)
    assert allowed == Caller(
        made.id, frozenset(SIGN), "acme", (("acme", "audit"),), soon.timestamp(), 7, root_id=made.root
    )
    [shown] = act(kms, OWNER, "list-tokens").tokens
    assert (shown.id, shown.tenant, shown.prefix, shown.expires, shown.rate, shown.label) == (
        made.id,
        "acme",
        "acme/audit",
        soon,
        7,
        "the signer of audits",
    )
    assert "token" not in type(shown).__struct_fields__


def test_it_expires_in_ninety_days_where_nothing_is_asked_for(kms: LocalKms) -> None:
    made = mint(kms)
    assert abs(made.expires - (datetime.now(UTC) + LIFETIME)) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("by", "asked", "reach"),
    [
        (caller(), {}, ()),
        (caller(), {"tenant": "acme"}, ("acme",)),
        (caller(), {"prefix": "acme"}, ("acme",)),
        (caller(), {"prefix": "acme/audit"}, ("acme", "audit")),
        (caller("acme"), {}, ("acme",)),
        (caller("acme"), {"tenant": "acme"}, ("acme",)),
        (caller("acme"), {"prefix": "acme/audit"}, ("acme", "audit")),
        (caller(None, "acme"), {}, ("acme",)),
        (caller(None, "acme/audit"), {}, ("acme", "audit")),
        (caller("acme", "acme/audit"), {"prefix": "acme/audit"}, ("acme", "audit")),
    ],
)
def test_what_the_minter_covers_is_carried_over(
    common: LocalKms, by: Caller, asked: dict[str, Any], reach: tuple[str, ...]
) -> None:
    assert check(common, mint(common, by, **asked).token).listable() == reach


@pytest.mark.parametrize(
    ("by", "asked"),
    [
        (caller("acme"), {"tenant": "core"}),
        (caller("acme"), {"prefix": "core"}),
        (caller("acme"), {"prefix": "acme-prod"}),
        (caller(None, "acme/audit"), {"tenant": "acme"}),
        (caller(None, "acme/audit"), {"prefix": "acme"}),
        (caller(None, "acme/audit"), {"prefix": "acme/log"}),
        (caller("core", "acme"), {}),
        (caller(None, "core", "acme"), {"tenant": "core"}),
        (caller(scopes=frozenset(["kms:admin"])), {}),
        (caller(scopes=frozenset(["kms:admin", "kms:sign"])), {"scopes": ["kms:sign", "kms:verify"]}),
    ],
)
def test_wider_than_the_minter_is_refused(common: LocalKms, by: Caller, asked: dict[str, Any]) -> None:
    before = listed(common)
    with pytest.raises(NoCapability):
        mint(common, by, **asked)
    assert listed(common) == before


@pytest.mark.parametrize(
    "asked",
    [
        {"scopes": []},
        {"scopes": ["kms:sign", "kms:sign"]},
        {"scopes": ["kms:all"]},
        {"tenant": "Acme"},
        {"prefix": ""},
        {"prefix": "acme//x"},
        {"prefix": "acme/audit/x"},
        {"prefix": "a/b/c/d"},
        {"tenant": "acme", "prefix": "core/audit"},
        {"expires": NOW - timedelta(seconds=1)},
        {"expires": "9999-12-31T23:00:00-05:00"},
        {"rate": 0},
        {"rate": 1_000_000_000},
        {"label": "x" * 201},
    ],
)
def test_what_no_token_can_say_is_refused(common: LocalKms, asked: dict[str, Any]) -> None:
    before = listed(common)
    with pytest.raises(BadRequest):
        mint(common, **asked)
    assert listed(common) == before


def test_expiry_and_rate_are_the_smaller_of_both(kms: LocalKms) -> None:
    end = int(time.time()) + 3600
    by = caller(expires=end + 0.7, rate=10)
    for asked in ({}, {"expires": NOW + timedelta(days=2)}, {"rate": 11}):
        made = check(kms, mint(kms, by, **asked).token)
        assert (made.expires, made.rate) == (end, 10)
    made = check(kms, mint(kms, by, expires=datetime.now(UTC) + timedelta(minutes=5), rate=9).token)
    assert made.expires is not None
    assert made.expires < end
    assert made.rate == 9


def test_revoked_with_all_that_were_narrowed_from_it(kms: LocalKms) -> None:
    made, other = mint(kms), mint(kms)
    narrowed = tokens.attenuate(made.token, caveats.write(tenant="acme"))
    done = act(kms, OWNER, "revoke-token", id=made.id)
    assert (done.id, done.count) == (made.id, 1)
    assert [refused(kms, token) for token in (made.token, narrowed, other.token)] == [True, True, False]
    again = act(kms, OWNER, "revoke-token", id=made.id)
    assert (again.revoked, again.count) == (done.revoked, 0)
    shown = {one.id: one.revoked for one in act(kms, OWNER, "list-tokens").tokens}
    assert shown[made.id] == done.revoked
    assert shown[other.id] is not None
    assert not isinstance(shown[other.id], datetime)


def test_revoked_with_what_was_minted_with_it_only_where_that_is_asked_for(kms: LocalKms) -> None:
    parent = mint(kms, scopes=["kms:admin", "kms:sign"], tenant="acme")
    child = mint(kms, check(kms, parent.token), scopes=["kms:admin", "kms:sign"])
    grandchild = mint(kms, check(kms, child.token), prefix="acme/audit")
    stranger = mint(kms, tenant="acme")
    made = (parent, child, grandchild, stranger)
    act(kms, OWNER, "revoke-token", id=parent.id)
    assert [refused(kms, one.token) for one in made] == [True, False, False, False]
    assert act(kms, OWNER, "revoke-token", id=parent.id, descendants=True).count == 2
    assert [refused(kms, one.token) for one in made] == [True, True, True, False]


def test_nothing_is_minted_with_a_token_of_whose_revocation_nobody_has_heard_yet(kms: LocalKms) -> None:
    """It would escape who has revoked all that was minted with it."""
    minter = mint(kms, scopes=["kms:admin", "kms:sign"])
    by = check(kms, minter.token)
    act(kms, OWNER, "revoke-token", id=minter.id, descendants=True)
    with pytest.raises(Unauthenticated):
        mint(kms, by)
    assert len(listed(kms)) == 1


def test_many_are_revoked_in_several_calls(kms: LocalKms, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_tokens, "REVOKED_MAX", 3)
    parent = mint(kms, scopes=["kms:admin", "kms:sign"])
    children = [mint(kms, check(kms, parent.token)) for _ in range(5)]
    done = [act(kms, OWNER, "revoke-token", id=parent.id, descendants=True) for _ in range(3)]
    assert [(one.count, one.more) for one in done] == [(3, True), (3, False), (0, False)]
    assert all(refused(kms, one.token) for one in (parent, *children))


def test_nobody_governs_more_than_it_covers(kms: LocalKms) -> None:
    made = {reach: mint(kms, **({"prefix": reach} if reach else {})) for reach in ("", "acme", "acme/audit", "core")}
    absent = new_uuid()
    for by, reaches in (
        (caller(), {"", "acme", "acme/audit", "core"}),
        (caller("acme"), {"acme", "acme/audit"}),
        (caller(None, "acme/audit"), {"acme/audit"}),
        (caller("acme", "core"), set()),
        (caller("acme-prod"), set()),
    ):
        assert set(listed(kms, by)) == {made[reach].id for reach in reaches}
        told = set()
        for token_id in [absent] * (by.listable() != ()) + [made[reach].id for reach in made.keys() - reaches]:
            with pytest.raises(NotFound) as error:
                act(kms, by, "revoke-token", id=token_id)
            told.add((error.value.message, error.value.hint))
        assert len(told) <= 1
    assert not any(refused(kms, one.token) for one in made.values())
    act(kms, caller("acme"), "revoke-token", id=made["acme/audit"].id)
    assert refused(kms, made["acme/audit"].token)


def test_a_narrowed_token_does_not_revoke_what_it_was_narrowed_from(kms: LocalKms) -> None:
    whole = mint(kms, scopes=["kms:admin"])
    narrow = check(kms, tokens.attenuate(whole.token, caveats.write(tenant="acme")), "kms:admin")
    with pytest.raises(NotFound):
        act(kms, narrow, "revoke-token", id=whole.id)


def test_a_token_from_elsewhere_is_revoked_by_its_id(kms: LocalKms) -> None:
    foreign = new_uuid()
    assert act(kms, OWNER, "revoke-token", id=foreign).count == 1
    assert foreign in kms._kms.issuer.checker._revoked
    for wrong in ("x", foreign.upper(), f"{foreign[:14]}4{foreign[15:]}"):
        with pytest.raises(NotFound):
            act(kms, OWNER, "revoke-token", id=wrong)


def test_page_by_page(kms: LocalKms) -> None:
    made = [mint(kms).id for _ in range(5)]
    first = act(kms, OWNER, "list-tokens", limit=3)
    second = act(kms, OWNER, "list-tokens", limit=3, after=first.next)
    assert sorted(made) == [one.id for one in (*first.tokens, *second.tokens)]


def test_a_new_root_signs_and_the_old_one_is_good_until_it_is_retired(kms: LocalKms) -> None:
    old = mint(kms)
    made = act(kms, OWNER, "rotate-token-root")
    new = mint(kms)
    assert (old.root == made.id, new.root) == (False, made.id)
    assert [refused(kms, one.token) for one in (old, new)] == [False, False]
    with pytest.raises(Conflict, match="newest"):
        act(kms, OWNER, "retire-token-root", id=new.root)
    with pytest.raises(Conflict, match="signs the token that asks"):
        act(kms, caller(root_id=old.root), "retire-token-root", id=old.root)
    with pytest.raises(NotFound):
        act(kms, OWNER, "retire-token-root", id=new_uuid())
    done = act(kms, OWNER, "retire-token-root", id=old.root)
    assert [refused(kms, one.token) for one in (old, new)] == [True, False]
    roots = act(kms, OWNER, "list-token-roots").roots
    assert [(root.id, root.retired == done.retired) for root in roots] == [(old.root, True), (new.root, False)]


@pytest.mark.parametrize("by", [caller("acme"), caller(None, "acme")])
@pytest.mark.parametrize("name", ["list-token-roots", "rotate-token-root", "retire-token-root"])
def test_roots_are_for_who_covers_everything(common: LocalKms, by: Caller, name: str) -> None:
    with pytest.raises(NoCapability):
        act(common, by, name, **({"id": "x"} if name == "retire-token-root" else {}))


def test_nothing_is_minted_without_a_root(place: Place, tmp_path: Any) -> None:
    (tmp_path / "other").mkdir()
    with Place(tmp_path / "other").open() as kms, pytest.raises(Conflict, match="no root"):
        mint(kms)


def test_what_was_revoked_is_known_at_the_next_start(place: Place, kms: LocalKms) -> None:
    made = mint(kms)
    act(kms, OWNER, "revoke-token", id=made.id)
    with place.open() as again:
        assert refused(again, made.token)


def test_an_error_tells_no_token(kms: LocalKms) -> None:
    with pytest.raises(KmsError) as error:
        act(kms, OWNER, "revoke-token", id=mint(kms).token)
    assert "AgdSb24" not in repr(error.value)


def test_a_clock_that_is_set_back_takes_no_token_off_the_list(kms: LocalKms) -> None:
    inner = kms._kms
    [before] = act(kms, OWNER, "list-token-roots").roots
    ahead = TokenRoot(new_uuid(), SecretKey.generate(), datetime.now(UTC) + timedelta(hours=1), None)

    def write(connection: Connection) -> None:
        with inner.issuer.sealing() as sealing:
            insert_token_root(connection, inner.rows, sealing, ahead)
        retire_token_root(connection, inner.rows, before.id, datetime.now(UTC))

    inner.database.write(write).result()
    inner.watcher.look_soon().result()
    made = [mint(kms, tenant="acme").id for _ in range(3)]
    assert [token.id for token in act(kms, caller("acme"), "list-tokens").tokens] == made
