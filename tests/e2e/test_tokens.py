"""Tokens over the wire, with two workers: minted by one, revoked by the other, and both know."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import MSGPACK, Client, narrowed

CONNECTIONS = 16
"""Enough that both workers have some, but for once in 30,000 runs."""


@pytest.fixture
def clients(two_workers: Service) -> Iterator[list[Client]]:
    """The administrator's, each with a connection of its own."""
    with ExitStack() as stack:
        yield [stack.enter_context(two_workers.client()) for _ in range(CONNECTIONS)]


def refusals(clients: list[Client], token: str) -> set[int]:
    return {client.call("GET", "/v1/kms/keys", token=token).status for client in clients}


def within(seconds: float, clients: list[Client], token: str) -> float:
    """After how long nobody takes the token any more."""
    begun = time.monotonic()
    while refusals(clients, token) != {401}:
        assert time.monotonic() - begun < seconds, "a revoked token is still taken"
    return time.monotonic() - begun


def test_a_revocation_is_known_to_all_workers(clients: list[Client]) -> None:
    made = clients[0].post("tokens", scopes=["kms:read"], tenant="acme", label="a reader").good(201)
    narrow = narrowed(made["token"], "rate = 100000")
    assert refusals(clients, made["token"]) == refusals(clients, narrow) == {200}
    done = clients[1].call("DELETE", f"/v1/kms/tokens/{made['id']}").good()
    assert done["count"] == 1
    # A second is what it may take; the rest is for a machine that has other things to do.
    within(10, clients, narrow)
    assert refusals(clients, made["token"]) == {401}
    listed = clients[2].get("tokens", limit="1000").good()["tokens"]
    [shown] = [one for one in listed if one["id"] == made["id"]]
    assert (shown["label"], shown["revoked"]) == ("a reader", done["revoked"])
    assert made["token"] not in str(listed)


def test_what_a_token_does_not_say_is_not_minted(two_workers: Service, clients: list[Client]) -> None:
    tenant = narrowed(two_workers.token, "scope = kms:admin kms:read", "tenant = acme")
    client = clients[0]

    def mint(**fields: object) -> str:
        return client.call("POST", "/v1/kms/tokens", fields, token=tenant).code

    assert mint(scopes=["kms:sign"]) == mint(scopes=["kms:read"], tenant="core") == "NoCapability"
    assert mint(scopes=["kms:read"], expires="2020-01-01T00:00:00Z") == mint(scopes=[]) == "BadRequest"
    assert client.call("GET", "/v1/kms/token-roots", token=tenant).code == "NoCapability"
    made = client.call("POST", "/v1/kms/tokens", {"scopes": ["kms:read"], "expires": None}, token=tenant).good(201)
    assert made["tenant"] == "acme"
    assert "expires" not in made


def test_a_new_root_is_known_to_all_workers(clients: list[Client]) -> None:
    old = clients[0].post("tokens", scopes=["kms:read"]).good(201)
    made = clients[0].call("POST", "/v1/kms/token-roots").good(201)
    new = clients[0].post("tokens", scopes=["kms:read"]).good(201)
    assert (old["root"] != made["id"], new["root"]) == (True, made["id"])
    deadline = time.monotonic() + 10
    while refusals(clients, new["token"]) != {200}:
        assert time.monotonic() < deadline, "a token of the new root is still refused"
    assert refusals(clients, old["token"]) == {200}


def test_in_messagepack(two_workers: Service) -> None:
    with two_workers.client(media=MSGPACK) as client:
        made = client.post("tokens", scopes=["kms:verify"], prefix="acme/tests", rate=5).good(201)
        assert (made["prefix"], made["rate"]) == ("acme/tests", 5)
        assert client.call("DELETE", f"/v1/kms/tokens/{made['id']}", {"descendants": True}).good()["count"] == 1
