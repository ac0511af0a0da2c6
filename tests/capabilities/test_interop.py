"""pymacaroons, an independent implementation of the format, and ours read, narrow and check each other's tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymacaroons import MACAROON_V1, MACAROON_V2, Macaroon, Verifier
from pymacaroons.exceptions import MacaroonInvalidSignatureException

from ron_kms.capabilities import tokens
from ron_kms.errors import BadRequest, Unauthenticated
from tests.capabilities.parts import IDENTIFIER, ROOT, ROOT_BYTES, ROOT_ID, TOKEN_ID, WRONG, checker, forge
from tests.capabilities.world import Asked, World

OURS = tokens.mint(ROOT_ID, ROOT, scopes=["kms:sign", "kms:verify"], tenant="acme", token_id=TOKEN_ID)


def theirs(*caveats: str, version: int = MACAROON_V2) -> Macaroon:
    macaroon = Macaroon(location="ron-kms", identifier=IDENTIFIER, key=ROOT_BYTES, version=version)
    for caveat in caveats:
        macaroon.add_first_party_caveat(caveat)
    return macaroon


def they_verify(token: str) -> list[str]:
    """The caveats that were asked for on the way; raises if the signature is wrong."""
    asked: list[str] = []

    def satisfied(caveat: str) -> bool:
        asked.append(caveat)
        return True

    verifier = Verifier()
    verifier.satisfy_general(satisfied)
    assert verifier.verify(Macaroon.deserialize(token), ROOT_BYTES)
    return asked


def test_they_mint_and_we_check() -> None:
    caller = checker().check(theirs("scope = kms:sign", "tenant = acme", "rate = 5").serialize(), "kms:sign", 0.0)
    assert (caller.token_id, caller.scopes, caller.tenant, caller.rate) == (TOKEN_ID, {"kms:sign"}, "acme", 5)


def test_we_mint_and_they_verify() -> None:
    assert they_verify(OURS) == ["scope = kms:sign kms:verify", "tenant = acme"]
    wrong = Verifier()
    wrong.satisfy_general(lambda _: True)
    with pytest.raises(MacaroonInvalidSignatureException):
        wrong.verify(Macaroon.deserialize(OURS), bytes(32))


def test_they_narrow_ours_and_we_check() -> None:
    macaroon = Macaroon.deserialize(OURS)
    macaroon.add_first_party_caveat("scope = kms:sign")
    macaroon.add_first_party_caveat("prefix = acme/audit")
    caller = checker().check(macaroon.serialize(), "kms:sign", 0.0)
    assert (caller.scopes, caller.tenant, caller.prefixes) == ({"kms:sign"}, "acme", (("acme", "audit"),))


def test_we_narrow_theirs() -> None:
    token = tokens.attenuate(theirs("scope = kms:sign").serialize(), ["tenant = acme", "rate = 2"])
    assert they_verify(token) == ["scope = kms:sign", "tenant = acme", "rate = 2"]
    assert checker().check(token, "kms:sign", 0.0).rate == 2


def test_what_they_read_and_write_again_is_the_same() -> None:
    assert Macaroon.deserialize(OURS).serialize() == OURS


def test_a_caveat_that_they_cut_off_is_missed_by_both() -> None:
    macaroon = Macaroon.deserialize(OURS)
    macaroon.caveats.pop()
    with pytest.raises(MacaroonInvalidSignatureException):
        they_verify(macaroon.serialize())
    with pytest.raises(Unauthenticated, match=WRONG):
        checker().check(macaroon.serialize(), "kms:sign", 0.0)


def test_their_third_party_caveats_are_refused() -> None:
    macaroon = Macaroon.deserialize(OURS)
    macaroon.add_third_party_caveat("https://other.example", "their key", "their caveat", nonce=b"n" * 24)
    with pytest.raises(Unauthenticated, match=WRONG):
        checker().check(macaroon.serialize(), "kms:sign", 0.0)
    with pytest.raises(BadRequest, match="first-party"):
        tokens.attenuate(macaroon.serialize(), ["rate = 1"])


def test_version_1_of_the_format_is_refused() -> None:
    with pytest.raises(Unauthenticated, match=WRONG):
        checker().check(theirs("scope = kms:sign", version=MACAROON_V1).serialize(), "kms:sign", 0.0)


def test_another_services_token_is_refused() -> None:
    macaroon = theirs("scope = kms:sign")
    macaroon.location = "https://other.example"
    with pytest.raises(Unauthenticated, match=WRONG):
        checker().check(macaroon.serialize(), "kms:sign", 0.0)


def test_they_narrow_what_the_service_has_minted_and_it_is_checked(tmp_path: Path) -> None:
    world = World(tmp_path)
    try:
        asked = Asked("POST", "tokens", {"scopes": ["kms:admin", "kms:read"], "tenant": "acme", "rate": 100})
        made = world.call(asked, world.token()).data
        macaroon = Macaroon.deserialize(made["token"])
        assert macaroon.identifier == f"1/{made['root']}/{made['id']}".encode()
        assert [caveat.caveat_id for caveat in macaroon.caveats][1] == b"tenant = acme"
        macaroon.add_first_party_caveat("scope = kms:read")
        read, other = Asked("GET", "keys"), Asked("GET", "tokens")
        assert [world.call(one, macaroon.serialize()).status for one in (read, other)] == [200, 403]
        world.call(Asked("DELETE", f"tokens/{made['id']}"), world.token())
        assert world.call(read, macaroon.serialize()).status == 401
    finally:
        world.close()


CAVEATS = st.sampled_from(("scope = kms:sign", "tenant = acme", "prefix = acme/audit", "rate = 3", "rate = 70"))


@given(st.lists(st.tuples(CAVEATS, st.booleans()), max_size=12))
def test_they_and_we_narrow_by_turns(steps: list[tuple[str, bool]]) -> None:
    token = OURS
    for caveat, by_them in steps:
        if by_them:
            macaroon = Macaroon.deserialize(token)
            macaroon.add_first_party_caveat(caveat)
            token = macaroon.serialize()
        else:
            token = tokens.attenuate(token, [caveat])
    assert token == tokens.attenuate(OURS, [caveat for caveat, _ in steps])
    assert they_verify(token)[2:] == [caveat for caveat, _ in steps]
    assert checker().check(token, "kms:sign", 0.0) == tokens.inspect(token).caller


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=140), max_size=8))
def test_both_write_the_same_bytes(caveats: list[str]) -> None:
    token = forge(*caveats)
    assert theirs(*caveats).serialize() == token
    assert they_verify(token) == caveats
