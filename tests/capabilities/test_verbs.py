"""Every verb by every scope, tenant and prefix, and by tokens that are expired, revoked, narrowed, widened, malformed.

The rows are the service's own table of operations: one that is new fails here until it is told what it reaches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest

from ron_kms.capabilities.caveats import SCOPES
from ron_kms.capabilities.macaroon import Macaroon
from ron_kms.model import new_uuid
from ron_kms.service.operation import Operation
from ron_kms.service.pipeline import OPERATIONS
from tests.capabilities.world import PURPOSE, TENANT, Asked, World, outcome, scopes

Reaches = Literal["key", "purpose", "tenant", "everything", "keys", "token", "tokens"]

REACHES: dict[str, Reaches] = {
    "sign": "key",
    "sign:batch": "key",
    "verify": "key",
    "verify:batch": "key",
    "wrap": "key",
    "wrap:batch": "key",
    "unwrap": "key",
    "unwrap:batch": "key",
    "rewrap": "key",
    "rewrap:batch": "key",
    "seal": "key",
    "seal:batch": "key",
    "open": "key",
    "open:batch": "key",
    "create": "purpose",
    "rotate": "key",
    "rotate-key": "key",
    "update-key": "key",
    "update-version": "key",
    "destroy-key": "key",
    "destroy-version": "key",
    "restore-key": "key",
    "restore-version": "key",
    "list": "keys",
    "get": "key",
    "get-policy": "tenant",
    "put-policy": "tenant",
    "plan-policy": "tenant",
    "mint-token": "purpose",
    "list-tokens": "tokens",
    "revoke-token": "token",
    "list-audit-logs": "everything",
    "get-audit-log": "everything",
    "list-token-roots": "everything",
    "rotate-token-root": "everything",
    "retire-token-root": "everything",
}
"""What a call is about: it needs a token that covers all of it."""

WIDEST = ("everything", "tenant", "tenant as prefix", "purpose", "key")
"""What tokens cover, from the most to the least."""

COVERS = {"key": "key", "keys": "key", "purpose": "purpose", "token": "purpose", "tokens": "purpose"}
REFUSALS = {"key": "NotFound", "token": "NotFound", "keys": "absent", "tokens": "absent"}


def caveats(column: str, key: str) -> list[str]:
    """The caveats of a column; ``key`` is the name that the call is about."""
    purpose = f"{TENANT}/{PURPOSE}"
    named = key if key.count("/") == 2 else f"{purpose}/{new_uuid()}"
    return {
        "everything": [],
        "tenant": [f"tenant = {TENANT}"],
        "tenant as prefix": [f"prefix = {TENANT}"],
        "purpose": [f"tenant = {TENANT}", f"prefix = {purpose}"],
        "key": [f"prefix = {named}"],
        "another tenant": ["tenant = core"],
        "another tenant as prefix": ["prefix = core"],
        "a tenant that begins alike": [f"tenant = {TENANT}-prod"],
        "the beginning of the tenant": [f"prefix = {TENANT[:-1]}"],
        "another purpose": [f"prefix = {TENANT}/log"],
        "a purpose that begins alike": [f"prefix = {purpose}-2"],
        "another key": [f"prefix = {purpose}/{new_uuid()}"],
        "the purpose in another tenant": [f"prefix = core/{PURPOSE}"],
        "two tenants": [f"tenant = {TENANT}", "tenant = core"],
        "a tenant and another's prefix": [f"tenant = {TENANT}", f"prefix = core/{PURPOSE}"],
        "widened to the tenant": ["tenant = core", f"tenant = {TENANT}"],
        "widened to the prefix": [f"prefix = {TENANT}/log", f"prefix = {TENANT}"],
    }[column]


COLUMNS = (
    *WIDEST,
    "another tenant",
    "another tenant as prefix",
    "a tenant that begins alike",
    "the beginning of the tenant",
    "another purpose",
    "a purpose that begins alike",
    "another key",
    "the purpose in another tenant",
    "two tenants",
    "a tenant and another's prefix",
    "widened to the tenant",
    "widened to the prefix",
)


def expected(reaches: Reaches, column: str) -> str:
    least = {"tenant": "tenant as prefix", "everything": "everything"}.get(reaches) or COVERS[reaches]
    if column in WIDEST[: WIDEST.index(least) + 1]:
        return "yes"
    return REFUSALS.get(reaches, "NoCapability")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("world"))
    yield world
    world.close()


by_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)


def told(world: World, asked: Asked, token: str | None) -> str:
    return outcome(asked, world.call(asked, token))


def test_every_operation_has_its_row() -> None:
    assert REACHES.keys() == {operation.name for operation in OPERATIONS}
    assert {operation.scope for operation in OPERATIONS} <= set(SCOPES)


@by_operation
def test_what_is_allowed_succeeds(world: World, operation: Operation) -> None:
    asked = world.ask(operation.name)
    answer = world.call(asked, world.token())
    assert answer.status == operation.status, answer.content
    assert outcome(asked, answer) == "yes"


@by_operation
def test_by_scope(world: World, operation: Operation) -> None:
    asked = world.ask(operation.name)
    for scope in SCOPES:
        right = "yes" if scope == operation.scope else "NoCapability"
        assert told(world, asked, world.token(f"scope = {scope}")) == right, scope
    others = [scope for scope in SCOPES if scope != operation.scope]
    assert told(world, asked, world.token(scopes(others))) == "NoCapability"
    assert told(world, asked, world.token(scopes(SCOPES))) == "yes"
    # Meant to widen: the scope added by the holder of a token without it, and scopes that exclude each other.
    assert told(world, asked, world.token(scopes(others), scopes(SCOPES))) == "NoCapability"
    assert told(world, asked, world.token(f"scope = {operation.scope}", scopes(others))) == "NoCapability"


@by_operation
def test_by_tenant_and_prefix(world: World, operation: Operation) -> None:
    asked = world.ask(operation.name)
    found = {column: told(world, asked, world.token(*caveats(column, asked.key))) for column in COLUMNS}
    assert found == {column: expected(REACHES[operation.name], column) for column in COLUMNS}


PAST, FUTURE = "expires = 2020-01-01T00:00:00Z", "expires = 2099-01-01T00:00:00Z"


@by_operation
def test_by_what_a_token_is(world: World, operation: Operation) -> None:
    asked = world.ask(operation.name)
    own = f"scope = {operation.scope}"
    good = world.token(own)
    macaroon = Macaroon.decode(good)
    narrow = macaroon.narrow(FUTURE.encode()).narrow(b"rate = 1000000").narrow(own.encode())
    assert told(world, asked, narrow.encode()) == "yes"
    wrong = {
        "none": None,
        "a word": "token",
        "expired": world.token(own, PAST),
        "expired, and meant to be prolonged": world.token(own, PAST, FUTURE),
        "revoked": world.revoked(own),
        "revoked, and narrowed": Macaroon.decode(world.revoked()).narrow(own.encode()).encode(),
        "unknown caveat": world.token(own, "region = eu"),
        "malformed caveat": world.token("scope = kms:*"),
        "cut short": good[:-4],
        "padded": good + "=",
        "twice": f"{good} {good}",
        "a caveat taken away": narrow._replace(caveats=narrow.caveats[:-1]).encode(),
        "a caveat put in unsigned": macaroon._replace(caveats=(*macaroon.caveats, b"rate = 1")).encode(),
        "without a signature": macaroon._replace(signature=bytes(32)).encode(),
    }
    wrong["of an unknown root"] = macaroon._replace(identifier=f"1/{new_uuid()}/{new_uuid()}".encode()).encode()
    found = {name: told(world, asked, token) for name, token in wrong.items()}
    assert found == dict.fromkeys(wrong, "Unauthenticated")
