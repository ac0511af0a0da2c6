"""Who is let in: scope, tenant, prefix, expired, narrowed, widened, malformed; and one answer for all that is wrong."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime

import pytest

from ron_kms._core import SecretKey
from ron_kms.capabilities import caveats, tokens
from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.macaroon import MAX_CAVEATS, MAX_TOKEN, Macaroon
from ron_kms.errors import BadRequest, NoCapability, Unauthenticated
from ron_kms.model import Kid
from tests.capabilities.parts import IDENTIFIER, ROOT, ROOT_ID, TOKEN_ID, UUID_1, UUID_2, WRONG, checker, forge

NOW = datetime(2026, 12, 1, tzinfo=UTC)
LATER = "2026-12-01T00:00:01Z"
KEY = Kid("acme", "audit", UUID_1)


def outcome(token: str, scope: str = "kms:sign", kid: Kid = KEY, now: float = NOW.timestamp()) -> str:
    try:
        caller = checker().check(token, scope, now)
    except Unauthenticated as error:
        return "expired" if error.message == "the token has expired" else "wrong"
    except NoCapability:
        return "no scope"
    return "yes" if caller.may_use(kid) else "not found"


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_allows_itself_and_nothing_else(scope: str) -> None:
    token = tokens.mint(ROOT_ID, ROOT, scopes=[scope], tenant="acme")
    assert {wanted for wanted in SCOPES if outcome(token, wanted) == "yes"} == {scope}
    assert {wanted for wanted in SCOPES if outcome(token, wanted) == "no scope"} == set(SCOPES) - {scope}


@pytest.mark.parametrize("scope", SCOPES)
def test_the_administrator_has_every_scope_in_every_tenant(scope: str) -> None:
    token = tokens.mint_administrator(ROOT_ID, ROOT)
    assert outcome(token, scope) == "yes"
    assert outcome(token, scope, Kid("core", "log", UUID_2)) == "yes"


@pytest.mark.parametrize(
    ("texts", "kid", "expected"),
    [
        (["scope = kms:sign"], KEY, "yes"),
        (["scope = kms:verify"], KEY, "no scope"),
        (["scope = kms:verify kms:sign", "tenant = acme"], KEY, "yes"),
        (["scope = kms:sign", "tenant = core"], KEY, "not found"),
        (["scope = kms:sign", "tenant = acme"], Kid("acme-prod", "audit", UUID_1), "not found"),
        (["scope = kms:sign", "prefix = acme"], KEY, "yes"),
        (["scope = kms:sign", "prefix = acme/audit"], KEY, "yes"),
        (["scope = kms:sign", "prefix = acme/aud"], KEY, "not found"),
        (["scope = kms:sign", f"prefix = acme/audit/{UUID_1}"], KEY.at(4), "yes"),
        (["scope = kms:sign", f"prefix = acme/audit/{UUID_2}"], KEY, "not found"),
        (["scope = kms:sign", f"expires = {LATER}"], KEY, "yes"),
        (["scope = kms:sign", "expires = 2026-12-01T00:00:00Z"], KEY, "expired"),
        (["scope = kms:verify", "expires = 2026-12-01T00:00:00Z"], KEY, "expired"),
        # narrowed
        (["scope = kms:sign kms:verify", "scope = kms:sign"], KEY, "yes"),
        (["scope = kms:sign kms:verify", "scope = kms:verify"], KEY, "no scope"),
        (["scope = kms:sign", "tenant = acme", "prefix = acme/audit"], KEY, "yes"),
        (["scope = kms:sign", "tenant = acme", "prefix = acme/audit", "prefix = acme"], KEY, "yes"),
        (["scope = kms:sign", f"expires = {LATER}", "expires = 2025-01-01T00:00:00Z"], KEY, "expired"),
        # meant to widen
        (["scope = kms:verify", "scope = kms:sign"], KEY, "no scope"),
        (["scope = kms:verify", f"scope = {' '.join(SCOPES)}"], KEY, "no scope"),
        (["scope = kms:sign", "tenant = core", "tenant = acme"], KEY, "not found"),
        (["scope = kms:sign", "tenant = core", "prefix = acme"], KEY, "not found"),
        (["scope = kms:sign", "prefix = core", "prefix = acme"], KEY, "not found"),
        (["scope = kms:sign", "prefix = acme/log", "prefix = acme"], KEY, "not found"),
        (["scope = kms:sign", "prefix = core", "prefix = acme/audit"], KEY, "not found"),
        (["scope = kms:sign", "expires = 2025-01-01T00:00:00Z", f"expires = {LATER}"], KEY, "expired"),
        # signed and not understood
        (["scope = kms:sign", "region = eu"], KEY, "wrong"),
        (["scope = kms:sign", "expires = soon"], KEY, "wrong"),
        (["scope = kms:sign", "expires = 2025-01-01T00:00:00Z", "region = eu"], KEY, "wrong"),
        (["scope = kms:sign", ""], KEY, "wrong"),
    ],
)
def test_table(texts: list[str], kid: Kid, expected: str) -> None:
    assert outcome(forge(*texts), kid=kid) == expected


def test_every_field_reaches_the_caller() -> None:
    token = tokens.mint(
        ROOT_ID, ROOT, scopes=["kms:sign"], tenant="acme", prefix="acme/audit", expires=NOW, rate=7, token_id=TOKEN_ID
    )
    caller = checker().check(token, "kms:sign", 0.0)
    assert (caller.token_id, caller.scopes, caller.tenant) == (TOKEN_ID, {"kms:sign"}, "acme")
    assert (caller.prefixes, caller.expires, caller.rate) == ((("acme", "audit"),), NOW.timestamp(), 7)
    assert Macaroon.decode(token).identifier == f"1/{ROOT_ID}/{TOKEN_ID}".encode()


def test_tokens_have_ids_of_their_own_that_narrowing_keeps() -> None:
    one, other = (tokens.mint_administrator(ROOT_ID, ROOT) for _ in range(2))
    check = checker().check
    assert check(one, "kms:sign", 0.0).token_id != check(other, "kms:sign", 0.0).token_id
    assert check(tokens.attenuate(one, ["rate = 1"]), "kms:sign", 0.0) != check(one, "kms:sign", 0.0)
    assert check(tokens.attenuate(one, ["rate = 1"]), "kms:sign", 0.0).token_id == check(one, "kms:sign", 0.0).token_id


GOOD = forge("scope = kms:sign", "tenant = acme")
OTHER_ROOT = SecretKey.generate()
EXPIRED = "expires = 2025-01-01T00:00:00Z"


def resigned(token: str, signature: bytes) -> str:
    return Macaroon.decode(token)._replace(signature=signature).encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("Bearer", id="a word"),
        pytest.param("é" * 8, id="not ASCII"),
        pytest.param("\ud800", id="half a surrogate"),
        pytest.param("A" * MAX_TOKEN, id="as long as may be"),
        pytest.param("A" * (MAX_TOKEN + 1), id="too long"),
        pytest.param(GOOD + "=", id="padded"),
        pytest.param(GOOD + "\n", id="newline"),
        pytest.param(GOOD[:-4], id="cut short"),
        pytest.param(resigned(GOOD, bytes(32)), id="no signature"),
        pytest.param(tokens.mint(ROOT_ID, OTHER_ROOT, scopes=SCOPES), id="another key under this id"),
        pytest.param(tokens.mint(OTHER_ROOT.id, OTHER_ROOT, scopes=SCOPES), id="unknown root"),
        pytest.param(resigned(forge(EXPIRED), bytes(32)), id="expired, not signed"),
        pytest.param(resigned(forge("region = eu"), bytes(32)), id="unknown caveat, not signed"),
        pytest.param(forge("region = eu"), id="unknown caveat, signed"),
        pytest.param(forge("tenant = Acme"), id="malformed caveat, signed"),
        pytest.param(forge(b"\xff"), id="caveat not text, signed"),
        pytest.param(forge(identifier=b""), id="no identifier"),
        pytest.param(forge(identifier=IDENTIFIER.replace(b"1/", b"2/", 1)), id="another form"),
        pytest.param(forge(identifier=IDENTIFIER + b"\n"), id="identifier with a newline"),
        pytest.param(forge(identifier=IDENTIFIER.replace(b"-7000-", b"-4000-")), id="token id of another version"),
        pytest.param(forge(identifier=IDENTIFIER.upper()), id="identifier in capitals"),
        pytest.param(forge(identifier=IDENTIFIER[:-1] + b"-"), id="token id not a UUID"),
        pytest.param(forge(identifier=f"1//{TOKEN_ID}".encode()), id="no root id"),
    ],
)
def test_every_wrong_token_gets_the_same_answer(token: str) -> None:
    check = checker()
    with pytest.raises(Unauthenticated) as caught:
        check.check(token, "kms:sign", NOW.timestamp())
    assert (caught.value.message, caught.value.hint) == (WRONG, Unauthenticated.default_hint)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert check.cached == 0


def test_any_changed_bit_is_refused() -> None:
    check = checker()
    body = urlsafe_b64decode(GOOD + "=" * (-len(GOOD) % 4))
    for bit in range(len(body) * 8):
        changed = bytearray(body)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Unauthenticated, match=WRONG):
            check.check(urlsafe_b64encode(changed).rstrip(b"=").decode(), "kms:sign", 0.0)
    assert check.check(GOOD, "kms:sign", 0.0).tenant == "acme"


def test_caveats_cannot_be_taken_away_reordered_or_exchanged() -> None:
    macaroon = Macaroon.decode(forge("scope = kms:verify", "tenant = acme", "rate = 5"))
    check = checker()
    for wrong in (
        macaroon._replace(caveats=()),
        macaroon._replace(caveats=macaroon.caveats[:-1]),
        macaroon._replace(caveats=macaroon.caveats[1:]),
        macaroon._replace(caveats=macaroon.caveats[::-1]),
        macaroon._replace(caveats=(b"scope = kms:sign", *macaroon.caveats[1:])),
        macaroon._replace(caveats=(*macaroon.caveats, macaroon.caveats[-1])),
    ):
        with pytest.raises(Unauthenticated, match=WRONG):
            check.check(wrong.encode(), "kms:verify", 0.0)


def test_the_missing_scope_is_named() -> None:
    with pytest.raises(NoCapability, match="kms:rotate"):
        checker().check(GOOD, "kms:rotate", 0.0)


def test_thirty_two_caveats_and_no_more() -> None:
    token = tokens.attenuate(forge(), ["rate = 1"] * MAX_CAVEATS)
    assert checker().check(token, "kms:sign", 0.0).rate == 1
    with pytest.raises(BadRequest, match="32 caveats"):
        tokens.attenuate(token, ["rate = 1"])


def test_a_token_may_fill_four_kib_and_no_more() -> None:
    caveat = f"scope = {' '.join(SCOPES)}"
    token = forge()
    while len(token) + 4 * len(caveat) // 3 + 6 < MAX_TOKEN:
        token = tokens.attenuate(token, [caveat])
    assert checker().check(token, "kms:sign", 0.0).tenant is None
    with pytest.raises(BadRequest, match="4096"):
        tokens.attenuate(token, [caveat])


def test_holders_are_told_what_is_wrong_with_a_caveat() -> None:
    for caveat in ("region = eu", "tenant = é", "tenant = \ud800", ""):
        with pytest.raises(BadRequest, match=r"^a "):
            tokens.attenuate(GOOD, ["rate = 1", caveat])
    with pytest.raises(BadRequest, match=r"^the token "):
        tokens.attenuate(GOOD[:-1], ["rate = 1"])
    assert tokens.attenuate(GOOD, caveats.write()) == GOOD


def test_what_cannot_be_checked_is_not_minted() -> None:
    for wrong in ({"scopes": []}, {"scopes": ["kms:all"]}, {"tenant": "A"}, {"prefix": "a//b"}, {"rate": 0}):
        with pytest.raises(BadRequest):
            tokens.mint(ROOT_ID, ROOT, **{"scopes": ["kms:sign"], **wrong})  # type: ignore[arg-type]
    for root_id in ("", "a/b", "A", "é", "\ud800", "a" * 37, "a\n"):
        with pytest.raises(BadRequest):
            tokens.mint(root_id, ROOT, scopes=["kms:sign"])
    for token_id in ("x", TOKEN_ID.upper(), TOKEN_ID.replace("-7000-", "-4000-"), f"{TOKEN_ID}\n"):
        with pytest.raises(BadRequest):
            tokens.mint(ROOT_ID, ROOT, scopes=["kms:sign"], token_id=token_id)
