"""Requests of each kind, with keys of their own."""

from __future__ import annotations

import random

from perf.load.service import Service, Tenant, digest
from perf.load.wire import Request

KEYS = 16
"""Keys a tenant works with in turn."""
BODIES = 64
"""Different requests of one kind."""
ROTATED = 256
"""Keys that are rotated: so many that hardly one is rotated twice at the same time, which is a conflict."""


def sign_requests(service: Service, tenant: Tenant, suite: str, batch: int = 1) -> list[Request]:
    """Single signs, or batches of one key each."""
    source = random.Random(suite)
    kids = [_bare(kid) for kid in service.keys(tenant, "sign", suite, KEYS)]
    for kid in kids:
        service.call("sign", {"kid": kid, "digest": digest(source)})
    made = []
    for number in range(BODIES):
        kid = kids[number % KEYS]
        if batch == 1:
            content = {"kid": kid, "digest": digest(source)}
            made.append(service.request(tenant, "sign", content, f"sign {suite}"))
        else:
            items = {"kid": kid, "items": [{"digest": digest(source)} for _ in range(batch)]}
            made.append(service.request(tenant, "sign:batch", items, f"sign:batch {suite}"))
    return made


def verify_requests(
    service: Service, tenant: Tenant, suite: str, *, keys: int = 0, mode: str | None = None, name: str = ""
) -> list[Request]:
    """Single verifies of good signatures.

    :param keys: how many, 0 for as many as usual; their public parts are cached if the service keeps so many.
    :param mode: asks for more than policy does.
    """
    source = random.Random(suite)
    policy = {"policy": {"mode": mode}} if mode else {}
    made: list[Request] = []
    for kid in service.keys(tenant, "sign", suite, keys or KEYS):
        for _ in range(max(1, BODIES // (keys or KEYS))):
            content = {"kid": kid, "digest": digest(source)}
            signed = service.call("sign", content)
            asked = {**content, "sigs": signed["sigs"], **policy}
            if not made and not service.call("verify", asked)["ok"]:
                raise RuntimeError(f"a signature of {suite} does not hold")
            made.append(service.request(tenant, "verify", asked, name or f"verify {suite}"))
    return made


def wrap_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """Wraps of fresh data keys."""
    return [
        service.request(tenant, "wrap", {"kid": _bare(kid), "size": 32}, f"wrap {suite}")
        for kid in service.keys(tenant, "wrap", suite, KEYS)
    ]


def unwrap_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """Unwraps of data keys, each of its own."""
    made = []
    for kid in map(_bare, service.keys(tenant, "wrap", suite, KEYS)):
        for _ in range(BODIES // KEYS):
            wrapped = service.call("wrap", {"kid": kid, "size": 32})["wrapped"]
            made.append(service.request(tenant, "unwrap", {"kid": kid, "wrapped": wrapped}, f"unwrap {suite}"))
    return made


def rotate_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """Rotations, a key each."""
    kids = map(_bare, service.keys(tenant, "sign", suite, ROTATED))
    return [service.request(tenant, "rotate", {"kid": kid}, f"rotate {suite}") for kid in kids]


def create_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """New keys."""
    fields = {"tenant": tenant.name, "purpose": "load", "use": "sign", "suite": suite}
    return [service.request(tenant, "keys", fields, f"create {suite}")]


def _bare(kid: str) -> str:
    return kid.partition("#")[0]
