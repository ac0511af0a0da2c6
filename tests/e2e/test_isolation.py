"""Tokens: two tenants that cannot see each other, and what a narrowed token still may."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import Answer, Client, digest_of, narrowed

DIGEST = digest_of("a document")

CALLS: dict[str, Callable[[Client, str], Answer]] = {
    "get": lambda client, kid: client.get(f"keys/{kid[:-3]}"),
    "sign": lambda client, kid: client.post("sign", kid=kid, digest=DIGEST),
    "sign newest": lambda client, kid: client.post("sign", kid=kid[:-3], digest=DIGEST),
    "verify": lambda client, kid: client.post("verify", kid=kid, digest=DIGEST, sigs=[]),
    "rotate": lambda client, kid: client.post("rotate", kid=kid),
    "rotate key": lambda client, kid: client.call("POST", f"/v1/kms/keys/{kid[:-3]}/rotate"),
    "update": lambda client, kid: client.call(
        "PATCH", f"/v1/kms/keys/{kid[:-3]}", {"labels": {}}, headers={"if-match": "*"}
    ),
    "update version": lambda client, kid: client.call(
        "PATCH", f"/v1/kms/keys/{kid[:-3]}/versions/1", {"state": "disabled"}, headers={"if-match": '"1"'}
    ),
    "destroy": lambda client, kid: client.call("DELETE", f"/v1/kms/keys/{kid[:-3]}"),
    "restore": lambda client, kid: client.call("POST", f"/v1/kms/keys/{kid[:-3]}/restore"),
}


@pytest.fixture
def tenants(service: Service) -> tuple[str, str]:
    """Tokens of two tenants, narrowed offline from the administrator's."""
    return narrowed(service.token, "tenant = red"), narrowed(service.token, "tenant = blue")


def absent(kid: str) -> str:
    """A kid of the same form that nobody made."""
    return f"{kid[:-9]}{'f' * 6 if kid[-9:-3] != 'f' * 6 else 'e' * 6}{kid[-3:]}"


def test_two_tenants_do_not_see_each_other(service: Service, tenants: tuple[str, str]) -> None:
    red, blue = (service.client(token) for token in tenants)
    with red, blue:
        kid = red.create(tenant="red")
        assert red.get("keys", prefix="red").good()["keys"]
        assert red.post("sign", kid=kid, digest=DIGEST).status == 200
        assert all(key["kid"].startswith("blue/") for key in blue.get("keys").good()["keys"])
        assert blue.get("keys", prefix="red").good()["keys"] == []
        assert blue.post("keys", tenant="red", purpose="tests", use="sign").code == "NoCapability"


@pytest.mark.parametrize("call", CALLS)
def test_existing_and_absent_foreign_keys_are_answered_alike(
    service: Service, tenants: tuple[str, str], call: str
) -> None:
    red, blue = (service.client(token) for token in tenants)
    with red, blue:
        kid = red.create(tenant="red")
        existing = CALLS[call](blue, kid)
        missing = CALLS[call](blue, absent(kid))
        own = CALLS[call](red, absent(kid))
        assert existing.code == "NotFound"
        assert existing.without_names() == missing.without_names() == own.without_names()
        assert len(existing.content) == len(missing.content)


def test_items_of_a_batch_are_authorised_one_by_one(service: Service, tenants: tuple[str, str]) -> None:
    red, blue = (service.client(token) for token in tenants)
    with red, blue:
        theirs, ours = red.create(tenant="red"), blue.create(tenant="blue")
        items = [{"kid": kid, "digest": DIGEST} for kid in (ours, theirs, absent(theirs), ours, absent(ours))]
        results = blue.post("sign:batch", items=items).good()["items"]
        assert ["sigs" in result for result in results] == [True, False, False, True, False]
        assert results[1] == results[2] == results[4]


def test_a_prefix_matches_whole_segments(service: Service) -> None:
    with service.client() as admin, service.client(narrowed(service.token, "prefix = acme/logs")) as narrow:
        inside, outside = admin.create(purpose="logs"), admin.create(purpose="logs-2")
        assert narrow.post("sign", kid=inside, digest=DIGEST).status == 200
        assert narrow.post("sign", kid=outside, digest=DIGEST).code == "NotFound"
        assert {key["kid"].split("/")[1] for key in narrow.get("keys").good()["keys"]} == {"logs"}
        one = narrowed(narrow.token or "", f"prefix = {inside[:-3]}")
        assert narrow.call("POST", "/v1/kms/sign", {"kid": inside, "digest": DIGEST}, token=one).status == 200
        other = admin.create(purpose="logs")
        assert narrow.call("POST", "/v1/kms/sign", {"kid": other, "digest": DIGEST}, token=one).code == "NotFound"


@pytest.mark.parametrize(
    ("verb", "scope", "fields"),
    [
        ("keys", "kms:create", {"tenant": "acme", "purpose": "tests", "use": "sign"}),
        ("sign", "kms:sign", {"digest": DIGEST}),
        ("sign:batch", "kms:sign", {"items": []}),
        ("verify", "kms:verify", {"digest": DIGEST, "sigs": []}),
        ("verify:batch", "kms:verify", {"items": []}),
    ],
)
def test_each_call_needs_its_scope(
    service: Service, admin: Client, verb: str, scope: str, fields: dict[str, Any]
) -> None:
    body = fields if verb == "keys" else {"kid": admin.create(), **fields}
    scopes = ("kms:create", "kms:read", "kms:sign", "kms:verify")
    without = narrowed(service.token, f"scope = {' '.join(name for name in scopes if name != scope)}")
    alone = narrowed(service.token, f"scope = {scope}")
    assert admin.call("POST", f"/v1/kms/{verb}", body, token=without).code == "NoCapability"
    assert admin.call("POST", f"/v1/kms/{verb}", body, token=alone).status in (200, 201)


def test_reading_needs_its_scope(service: Service, admin: Client) -> None:
    kid = admin.create()
    for path in ("/v1/kms/keys", f"/v1/kms/keys/{kid[:-3]}"):
        without = narrowed(service.token, "scope = kms:create kms:sign kms:verify")
        assert admin.call("GET", path, token=without).code == "NoCapability"
        assert admin.call("GET", path, token=narrowed(service.token, "scope = kms:read")).status == 200


def test_nobody_widens_a_token(service: Service, admin: Client) -> None:
    admin.create(tenant="red")
    narrow = narrowed(service.token, "scope = kms:read", "tenant = red")
    more = narrowed(narrow, "scope = kms:read kms:sign")
    assert admin.call("POST", "/v1/kms/sign", {"kid": "x" * 40}, token=more).code == "NoCapability"
    assert {key["kid"][:4] for key in admin.call("GET", "/v1/kms/keys", token=more).good()["keys"]} == {"red/"}
    other = narrowed(narrow, "tenant = blue")
    assert admin.call("GET", "/v1/kms/keys", token=other).good()["keys"] == []


def test_an_expired_token_is_no_token(service: Service, admin: Client) -> None:
    now = datetime.now(UTC)
    for delta, status in ((timedelta(hours=1), 200), (timedelta(seconds=-1), 401)):
        token = narrowed(service.token, f"expires = {now + delta:%Y-%m-%dT%H:%M:%SZ}")
        assert admin.call("GET", "/v1/kms/keys", token=token).status == status


@pytest.mark.parametrize(
    "caveat", ["colour = red", "tenant=acme", "scope = kms:everything", "expires = tomorrow", "", "x"]
)
def test_an_unknown_caveat_refuses(service: Service, admin: Client, caveat: str) -> None:
    assert admin.call("GET", "/v1/kms/keys", token=narrowed(service.token, caveat)).code == "Unauthenticated"


def test_wrong_tokens_are_refused_alike_before_the_body_is_looked_at(service: Service, admin: Client) -> None:
    good = service.token
    flipped = good[:-3] + ("AA" if good[-3:-1] != "AA" else "BB") + good[-1]
    answers = [
        admin.call("POST", "/v1/kms/sign", b"\xff not a body", token=token)
        for token in (flipped, good[: len(good) // 2], "x", "A" * 8000, good + "=", good * 2)
    ]
    assert {answer.status for answer in answers} == {401}
    assert {answer.headers["www-authenticate"] for answer in answers} == {'Bearer realm="ron-kms"'}
    first = answers[0].without_names()
    assert all(answer.without_names() == first for answer in answers)
    assert admin.call("POST", "/v1/kms/sign", b"\xff", token=None).code == "Unauthenticated"
