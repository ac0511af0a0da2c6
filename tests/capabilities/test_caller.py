"""What a caller may use, create and list: tenant and whole segments, before any look-up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.model import Caller, Kid
from tests.capabilities.parts import TOKEN_ID, UUID_1, UUID_2

Prefix = tuple[str, ...]


def caller(*prefixes: Prefix, tenant: str | None = None) -> Caller:
    return Caller(TOKEN_ID, frozenset(), tenant, prefixes)


@pytest.mark.parametrize(
    ("who", "kid", "allowed"),
    [
        (caller(), Kid("acme", "audit", UUID_1), True),
        (caller(tenant="acme"), Kid("acme", "audit", UUID_1), True),
        (caller(tenant="acme"), Kid("acme-prod", "audit", UUID_1), False),
        (caller(("acme",)), Kid("acme", "audit", UUID_1, 3), True),
        (caller(("acme",)), Kid("acme-prod", "audit", UUID_1), False),
        (caller(("acme", "audit")), Kid("acme", "audit", UUID_1), True),
        (caller(("acme", "audit")), Kid("acme", "audit2", UUID_1), False),
        (caller(("acme", "audit")), Kid("core", "audit", UUID_1), False),
        (caller(("acme", "audit", UUID_1)), Kid("acme", "audit", UUID_1), True),
        (caller(("acme", "audit", UUID_1)), Kid("acme", "audit", UUID_1, 7), True),
        (caller(("acme", "audit", UUID_1)), Kid("acme", "audit", UUID_2), False),
        (caller(("acme",), ("core",)), Kid("acme", "audit", UUID_1), False),
        (caller(("core",), tenant="acme"), Kid("acme", "audit", UUID_1), False),
    ],
)
def test_use(who: Caller, kid: Kid, allowed: bool) -> None:
    assert who.may_use(kid) is allowed


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (caller(), True),
        (caller(tenant="acme"), True),
        (caller(tenant="acme-prod"), False),
        (caller(("acme",)), True),
        (caller(("acme", "audit")), True),
        (caller(("acme", "other")), False),
        (caller(("acme", "audit", UUID_1)), False),
        (caller(("core",), tenant="acme"), False),
    ],
)
def test_create(who: Caller, allowed: bool) -> None:
    assert who.may_create("acme", "audit") is allowed


@pytest.mark.parametrize(
    ("who", "asked", "found"),
    [
        (caller(), (), ()),
        (caller(), ("acme",), ("acme",)),
        (caller(tenant="acme"), (), ("acme",)),
        (caller(tenant="acme"), ("acme", "audit"), ("acme", "audit")),
        (caller(tenant="acme"), ("core",), None),
        (caller(("acme", "audit")), ("acme",), ("acme", "audit")),
        (caller(("acme", "audit"), tenant="acme"), (), ("acme", "audit")),
        (caller(("acme", "audit")), ("acme", "audit", UUID_1), ("acme", "audit", UUID_1)),
        (caller(("acme", "audit")), ("acme", "other"), None),
        (caller(("acme", "audit")), ("acme-prod",), None),
        (caller(("core",), tenant="acme"), (), None),
    ],
)
def test_list(who: Caller, asked: Prefix, found: Prefix | None) -> None:
    assert who.listable(asked) == found


KIDS = [Kid(t, p, u) for t in ("acme", "acme-prod") for p in ("audit", "log") for u in (UUID_1, UUID_2)]
PREFIXES = st.sampled_from(sorted({tuple(kid[:size]) for kid in KIDS for size in (1, 2, 3)}))
CALLERS = st.builds(
    lambda tenant, prefixes: caller(*prefixes, tenant=tenant),
    st.sampled_from((None, "acme", "acme-prod")),
    st.lists(PREFIXES, max_size=3),
)


@given(CALLERS, PREFIXES | st.just(()))
def test_a_list_holds_just_what_may_be_used(who: Caller, asked: Prefix) -> None:
    found = who.listable(asked)
    for kid in KIDS:
        listed = found is not None and kid[: len(found)] == found
        assert listed == (who.may_use(kid) and kid[: len(asked)] == asked)


@given(CALLERS)
def test_who_may_create_may_use_whatever_is_made(who: Caller) -> None:
    for tenant in ("acme", "acme-prod"):
        for purpose in ("audit", "log"):
            everything = all(who.may_use(Kid(tenant, purpose, uuid)) for uuid in (UUID_1, UUID_2))
            assert who.may_create(tenant, purpose) == everything
