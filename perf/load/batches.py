"""Requests with many items, of each kind."""

from __future__ import annotations

import random

from perf.load.scenarios import sign_requests
from perf.load.service import Service, Tenant, digest
from perf.load.wire import Request

KEYS = 8
BODY_MOST = 65_535
"""Bytes that HTTP/2 lets a client send at first; the generator sends no body in parts."""


def batch_requests(service: Service, tenant: Tenant, operation: str, suite: str, items: int) -> list[Request]:
    """Of one key each; none where so many items do not fit into a body that can be sent at once.

    :param operation: ``sign``, ``verify`` or ``wrap``.
    """
    if operation == "sign":
        made = sign_requests(service, tenant, suite, items)
    else:
        make = verify_batches if operation == "verify" else wrap_batches
        made = make(service, tenant, suite, items)
    return [] if any(one.body > BODY_MOST for one in made) else made


def verify_batches(service: Service, tenant: Tenant, suite: str, items: int) -> list[Request]:
    """Good signatures."""
    source = random.Random(suite)
    made = []
    for kid in service.keys(tenant, "sign", suite, KEYS):
        asked = [{"digest": digest(source)} for _ in range(items)]
        signed = service.call("./sign:batch", {"kid": kid, "items": asked})["items"]
        content = {
            "kid": kid,
            "items": [{**item, "sigs": one["sigs"]} for item, one in zip(asked, signed, strict=True)],
        }
        made.append(service.request(tenant, "verify:batch", content, f"verify:batch {suite}"))
    return made


def wrap_batches(service: Service, tenant: Tenant, suite: str, items: int) -> list[Request]:
    """Fresh data keys of 32 bytes."""
    kids = [kid.partition("#")[0] for kid in service.keys(tenant, "wrap", suite, KEYS)]
    asked = [{"size": 32}] * items
    return [service.request(tenant, "wrap:batch", {"kid": kid, "items": asked}, f"wrap:batch {suite}") for kid in kids]
