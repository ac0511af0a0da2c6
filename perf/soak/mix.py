"""What a soak asks for: 70 % sign, 20 % verify, 10 % wrap and unwrap, in singles and batches; new versions and keys."""

from __future__ import annotations

import random
from typing import NamedTuple

from perf.load.batches import verify_batches, wrap_batches
from perf.load.generator import Stream
from perf.load.mixes import SUITES, steady_requests
from perf.load.scenarios import sign_requests
from perf.load.service import Service, Tenant, digest
from perf.load.wire import Request

BATCH = 8
KEYS = 8
"""That are signed with and rotated."""
CLASSICAL_SHARE = 3
"""Requests with classical suites for each with hybrid ones."""
_PARTS = 1_000
"""A rotation and half a creation for so many operations."""


class Rates(NamedTuple):
    """Operations a second of each kind of client."""

    singles: float
    batches: float
    rotations: float
    creations: float


def rates(operations: float) -> Rates:
    """Half of the operations come in singles, half in batches."""
    return Rates(operations / 2, operations / 2, operations / _PARTS / 2, operations / _PARTS / 4)


def streams(service: Service, operations: float) -> list[Stream]:
    """Clients that ask for so many operations a second together."""
    tenant, each = service.tenant("soak"), rates(operations)
    classical, hybrid = SUITES["classical"], SUITES["hybrid"]
    signs, rotations = _rotated(service, tenant, classical.sign)
    singles = [
        *steady_requests(service, tenant, classical) * CLASSICAL_SHARE,
        *steady_requests(service, tenant, hybrid),
        *signs,
    ]
    batches = [
        *sign_requests(service, tenant, classical.sign, BATCH) * CLASSICAL_SHARE,
        *sign_requests(service, tenant, hybrid.sign, BATCH),
    ]
    checks = [one for suite in (classical, hybrid) for one in verify_batches(service, tenant, suite.sign, BATCH)]
    wraps = [one for suite in (classical, hybrid) for one in wrap_batches(service, tenant, suite.wrap, BATCH)]
    mixed = [*batches * 7, *checks * (2 * len(batches) // len(checks)), *wraps * (len(batches) // len(wraps))]
    fields = {"tenant": tenant.name, "purpose": "soak", "use": "sign", "suite": classical.sign}
    creations = [service.request(tenant, "keys", fields, f"create {classical.sign}")]
    return [
        Stream("singles", singles, each.singles, 8, 32),
        Stream("batches", mixed, each.batches / BATCH, 4, 8, items=BATCH),
        Stream("rotations", rotations, each.rotations, 1, 4),
        Stream("creations", creations, each.creations, 1, 4),
    ]


def _rotated(service: Service, tenant: Tenant, suite: str) -> tuple[list[Request], list[Request]]:
    """Signs and rotations of the same keys."""
    source = random.Random("rotated")
    kids = [kid.partition("#")[0] for kid in service.keys(tenant, "sign", suite, KEYS)]
    return (
        [
            service.request(tenant, "sign", {"kid": kid, "digest": digest(source)}, f"sign {suite}")
            for kid in kids
            for _ in range(KEYS)
        ],
        [service.request(tenant, "rotate", {"kid": kid}, f"rotate {suite}") for kid in kids],
    )
