"""A token seen before costs a look-up, and what is remembered never outlives what made it true."""

from __future__ import annotations

import gc
import timeit
from concurrent.futures import ThreadPoolExecutor

import pytest

from ron_kms._core import SecretKey
from ron_kms.capabilities import tokens
from ron_kms.capabilities.tokens import TokenChecker
from ron_kms.errors import NoCapability, Unauthenticated
from ron_kms.model import new_uuid
from tests.capabilities.parts import ROOT, ROOT_ID, TOKEN_ID, WRONG, checker, forge

TOKEN = forge("scope = kms:sign", "expires = 1970-01-01T00:01:40Z")
OTHER = forge("scope = kms:sign", "tenant = acme")


def test_the_second_time_it_is_remembered() -> None:
    check = checker()
    first = check.check(TOKEN, "kms:sign", 0.0)
    assert check.cached == 1
    assert check.check(str(TOKEN), "kms:sign", 1.0) is first


def test_expiry_is_looked_at_every_time() -> None:
    check = checker()
    check.check(TOKEN, "kms:sign", 99.0)
    for now in (100.0, 101.0, 1e12):
        with pytest.raises(Unauthenticated, match="expired"):
            check.check(TOKEN, "kms:sign", now)
    check.check(TOKEN, "kms:sign", 99.999)


def test_scope_is_looked_at_every_time() -> None:
    check = checker()
    check.check(TOKEN, "kms:sign", 0.0)
    with pytest.raises(NoCapability, match="kms:verify"):
        check.check(TOKEN, "kms:verify", 0.0)


def test_a_retired_root_takes_its_tokens_along() -> None:
    roots = {ROOT_ID: ROOT, "next": SecretKey.generate()}
    check = TokenChecker(roots)
    newer = tokens.mint("next", roots["next"], scopes=["kms:sign"])
    check.check(TOKEN, "kms:sign", 0.0)
    check.check(newer, "kms:sign", 0.0)
    del roots[ROOT_ID]
    check.check(tokens.attenuate(TOKEN, ["rate = 1"]), "kms:sign", 0.0)  # the mapping was taken as it was
    check.replace_roots(roots)
    with pytest.raises(Unauthenticated, match=WRONG):
        check.check(TOKEN, "kms:sign", 0.0)
    check.check(newer, "kms:sign", 0.0)
    check.replace_roots({ROOT_ID: SecretKey.generate()})
    for token in (TOKEN, newer):
        with pytest.raises(Unauthenticated, match=WRONG):
            check.check(token, "kms:sign", 0.0)
    check.replace_roots({ROOT_ID: ROOT})
    check.check(TOKEN, "kms:sign", 0.0)


def test_a_revoked_token_is_refused_at_once_however_narrowed() -> None:
    check = checker()
    other = tokens.mint_administrator(ROOT_ID, ROOT)
    narrowed = tokens.attenuate(TOKEN, ["rate = 1"])
    for token in (TOKEN, narrowed, other):
        check.check(token, "kms:sign", 0.0)
    check.replace_revoked({new_uuid(): None, TOKEN_ID: None})
    for token in (TOKEN, narrowed, tokens.attenuate(TOKEN, ["rate = 2"])):
        with pytest.raises(Unauthenticated, match=WRONG):
            check.check(token, "kms:sign", 1e12)
    check.check(other, "kms:sign", 0.0)
    check.replace_revoked({})
    check.check(TOKEN, "kms:sign", 0.0)


def test_revocations_are_added_and_let_go_of_a_day_after_the_token_has_expired() -> None:
    check = checker()
    check.replace_revoked({TOKEN_ID: None})
    lasting = {new_uuid(): 2e6 for _ in range(10)}
    check.revoke(lasting, 0.0)
    for n in range(5000):
        check.revoke({new_uuid(): float(n)}, 1e6)
    assert len(check._revoked) <= 1024 + 11
    assert check._revoked.keys() >= {TOKEN_ID, *lasting}
    check.revoke(dict.fromkeys((new_uuid() for _ in range(3000)), 1e6 - 1), 1e6)
    assert len(check._revoked) > 3000, "the clock may be set back"


def test_its_size_is_bounded_and_the_least_recently_used_goes_first() -> None:
    check = checker(cache_size=64)
    kept = check.check(OTHER, "kms:sign", 0.0)
    gone = check.check(TOKEN, "kms:sign", 0.0)
    for number in range(1, 10_001):
        check.check(tokens.attenuate(OTHER, [f"rate = {number}"]), "kms:sign", 0.0)
        if number % 32 == 0:
            assert check.check(OTHER, "kms:sign", 0.0) is kept
            assert check.cached <= 64
    assert check.cached == 64
    assert check.check(TOKEN, "kms:sign", 0.0) is not gone


def test_refusals_are_not_remembered() -> None:
    check = checker()
    for number in range(1000):
        with pytest.raises(Unauthenticated):
            check.check(f"{TOKEN}{number}", "kms:sign", 0.0)
        with pytest.raises(Unauthenticated):
            check.check(forge(f"unknown = {number}"), "kms:sign", 0.0)
    assert check.cached == 0


def test_no_token_is_kept() -> None:
    check = checker()
    token = tokens.mint_administrator(ROOT_ID, ROOT)
    check.check(token, "kms:sign", 0.0)
    kept = [
        item for item in gc.get_referrers(token) if isinstance(item, (dict, TokenChecker)) and item is not globals()
    ]
    assert not kept
    assert token not in repr(check._roots)


def test_a_hit_costs_a_look_up() -> None:
    """About 1.2 us, most of it the digest; taking the token apart and checking it costs twenty times that."""
    check = checker()
    token = tokens.mint_administrator(ROOT_ID, ROOT)
    hit = min(timeit.repeat(lambda: check.check(token, "kms:sign", 0.0), number=500, repeat=20)) / 500
    assert hit < 8e-6


def test_threads_may_share_it() -> None:
    check = checker(cache_size=3)
    many = [tokens.attenuate(OTHER, [f"rate = {number}"]) for number in range(1, 9)]

    def work(start: int) -> None:
        for step in range(2000):
            number = (start + step * step) % 8
            assert check.check(many[number], "kms:sign", 0.0).rate == number + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert check.cached <= 3 + 4
