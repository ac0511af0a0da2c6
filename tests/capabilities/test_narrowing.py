"""Narrowing never widens: random chains of caveats against a model that asks each caveat by itself."""

from __future__ import annotations

from datetime import datetime
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms.capabilities import tokens
from ron_kms.capabilities.tokens import TokenChecker
from ron_kms.errors import NoCapability, Unauthenticated
from ron_kms.model import Kid
from tests.capabilities.parts import UUID_1, UUID_2, checker, forge
from tests.counts import count

SCOPES = ("kms:sign", "kms:verify", "kms:admin")
KIDS = [Kid(t, p, u) for t in ("acme", "acme-prod") for p in ("audit", "log") for u in (UUID_1, UUID_2)]
TIMES = ("2026-01-01T00:00:00Z", "2026-06-01T00:00:00Z", "2026-12-01T00:00:00Z")
SECONDS = {text: datetime.fromisoformat(text).timestamp() for text in TIMES}
MOMENTS = [second + offset for second in SECONDS.values() for offset in (-1.0, 0.0)]

Asked = tuple[str, Kid, float]
EVERYTHING: list[Asked] = list(product(SCOPES, KIDS, MOMENTS))

PREFIXES = sorted({"/".join(kid.key.split("/")[:size]) for kid in KIDS for size in (1, 2, 3)})
CAVEATS = st.one_of(
    st.sets(st.sampled_from(SCOPES), min_size=1).map(lambda scopes: f"scope = {' '.join(sorted(scopes))}"),
    st.sampled_from(("tenant = acme", "tenant = acme-prod")),
    st.sampled_from(PREFIXES).map("prefix = {}".format),
    st.sampled_from(TIMES).map("expires = {}".format),
    st.integers(1, 9).map("rate = {}".format),
)
CHAINS = st.lists(CAVEATS, max_size=6)


def holds(caveat: str, asked: Asked) -> bool:
    """The model: one caveat, one question, nothing folded."""
    scope, kid, moment = asked
    name, value = caveat.split(" = ")
    return {
        "scope": lambda: scope in value.split(),
        "tenant": lambda: kid.tenant == value,
        "prefix": lambda: f"{kid.key}/".startswith(f"{value}/"),
        "expires": lambda: moment < SECONDS[value],
        "rate": lambda: True,
    }[name]()


def allowed(check: TokenChecker, token: str) -> set[Asked]:
    found = set()
    for scope, moment in product(SCOPES, MOMENTS):
        try:
            caller = check.check(token, scope, moment)
        except (Unauthenticated, NoCapability):
            continue
        found |= {(scope, kid, moment) for kid in KIDS if caller.may_use(kid)}
    return found


def rate(check: TokenChecker, token: str) -> float:
    try:
        caller = check.check(token, "kms:sign", 0.0)
    except NoCapability:
        return 0
    return caller.rate or float("inf")


@settings(max_examples=count(300, 5000))
@given(CHAINS, CHAINS)
def test_a_narrowed_token_allows_what_every_caveat_allows(minted: list[str], added: list[str]) -> None:
    check = checker()
    token = forge(*minted)
    narrowed = tokens.attenuate(token, added)
    before, after = allowed(check, token), allowed(check, narrowed)
    assert before == {asked for asked in EVERYTHING if all(holds(caveat, asked) for caveat in minted)}
    assert after == {asked for asked in before if all(holds(caveat, asked) for caveat in added)}
    assert after <= before
    assert rate(check, narrowed) <= rate(check, token)


@given(CHAINS, st.randoms())
def test_the_order_of_caveats_does_not_matter(minted: list[str], random: object) -> None:
    shuffled = sorted(minted, key=lambda _: random.random())  # type: ignore[attr-defined]
    check = checker()
    assert allowed(check, forge(*minted)) == allowed(check, forge(*shuffled))


@given(CHAINS, CHAINS)
def test_narrowing_twice_is_narrowing_once(first: list[str], second: list[str]) -> None:
    token = forge()
    assert tokens.attenuate(tokens.attenuate(token, first), second) == tokens.attenuate(token, first + second)
    assert tokens.attenuate(token, first) == forge(*first)
