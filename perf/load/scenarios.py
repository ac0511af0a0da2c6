"""What is asked of the service, by name."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from perf.load.generator import Stream
from perf.load.service import Service, Tenant, digest
from perf.load.wire import Request

SIGN_SUITE = "ed25519"
WRAP_SUITE = "x25519+ml-kem-768"
KEYS = 16
"""Keys a tenant works with in turn."""
BODIES = 64
"""Different requests of one kind."""
SETTLE_SECONDS = 1.0


class Plan(NamedTuple):
    """Clients, and how many operations each of their requests asks for."""

    streams: list[Stream]
    items: int = 1


class Load(NamedTuple):
    """What the command line says.

    :ivar rate: requests a second of all clients together, for open loops.
    """

    suite: str | None
    rate: float
    connections: int
    depth: int
    seconds: float
    batch: int


Maker = Callable[[Service, Load], Plan]


def sign_requests(service: Service, tenant: Tenant, suite: str, batch: int = 1) -> list[Request]:
    """Single signs, or batches of one key each."""
    source = random.Random(suite)
    kids = [kid.partition("#")[0] for kid in service.keys(tenant, "sign", suite, KEYS)]
    for kid in kids:
        service.call("sign", {"kid": kid, "digest": digest(source)})
    made = []
    for number in range(BODIES):
        kid = kids[number % KEYS]
        if batch == 1:
            made.append(service.request(tenant, "sign", {"kid": kid, "digest": digest(source)}))
        else:
            content = {"kid": kid, "items": [{"digest": digest(source)} for _ in range(batch)]}
            made.append(service.request(tenant, "sign:batch", content))
    return made


def verify_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """Single verifies of good signatures, under keys that are cached."""
    source = random.Random(suite)
    made = []
    for kid in service.keys(tenant, "sign", suite, KEYS):
        for _ in range(BODIES // KEYS):
            content = {"kid": kid, "digest": digest(source)}
            signed = service.call("sign", content)
            made.append(service.request(tenant, "verify", {**content, "sigs": signed["sigs"]}))
    return made


def wrap_requests(service: Service, tenant: Tenant, suite: str) -> list[Request]:
    """Wraps of fresh data keys and unwraps of them, half each."""
    made = []
    for kid in service.keys(tenant, "wrap", suite, KEYS):
        for _ in range(BODIES // KEYS // 2):
            wrapped = service.call("wrap", {"kid": kid, "size": 32})["wrapped"]
            made.append(service.request(tenant, "wrap", {"kid": kid.partition("#")[0], "size": 32}))
            made.append(service.request(tenant, "unwrap", {"kid": kid.partition("#")[0], "wrapped": wrapped}))
    return made


def _one(make: Callable[[Service, Tenant, str], list[Request]], paced: bool, suite: str = SIGN_SUITE) -> Maker:
    def plan(service: Service, load: Load) -> Plan:
        requests = make(service, service.tenant("a"), load.suite or suite)
        return Plan([Stream("a", requests, load.rate if paced else None, load.connections, load.depth)])

    return plan


def _batch(service: Service, load: Load) -> Plan:
    requests = sign_requests(service, service.tenant("a"), load.suite or SIGN_SUITE, load.batch)
    return Plan([Stream("a", requests, None, load.connections, load.depth)], load.batch)


def _steady(service: Service, load: Load) -> Plan:
    """70 % sign, 20 % verify, 10 % wrap and unwrap, from one tenant."""
    tenant = service.tenant("a")
    parts = (
        ("sign", sign_requests(service, tenant, load.suite or SIGN_SUITE), 0.7),
        ("verify", verify_requests(service, tenant, load.suite or SIGN_SUITE), 0.2),
        ("wrap", wrap_requests(service, tenant, WRAP_SUITE), 0.1),
    )
    return Plan([Stream(name, made, load.rate * share, 4, load.depth) for name, made, share in parts])


def _burst(service: Service, load: Load) -> Plan:
    """A steady rate, and ten times as much during the middle third."""
    tenant = service.tenant("a")
    requests = sign_requests(service, tenant, load.suite or SIGN_SUITE)
    third = load.seconds / 3
    return Plan(
        [
            Stream("steady", requests, load.rate, load.connections, load.depth),
            Stream(
                "burst",
                requests,
                load.rate * 9,
                load.connections,
                load.depth,
                begin=SETTLE_SECONDS + third,
                end=SETTLE_SECONDS + 2 * third,
            ),
        ]
    )


def _isolation(top: tuple[int, int], low: tuple[int, int]) -> Maker:
    """Two tenants without a pause: how many connections each has, and how many requests under way on each of them."""

    def plan(service: Service, load: Load) -> Plan:
        streams = []
        for name, (connections, depth) in (("top", top), ("low", low)):
            requests = sign_requests(service, service.tenant(name), load.suite or SIGN_SUITE)
            streams.append(Stream(name, requests, None, connections, depth))
        return Plan(streams)

    return plan


def _flood(service: Service, load: Load) -> Plan:
    """Tenant ``a`` sends batches of 1,024 ML-DSA signatures without a pause, ``b`` single Ed25519 signs at a rate."""
    batches = sign_requests(service, service.tenant("a"), "ml-dsa-65", 1024)
    singles = sign_requests(service, service.tenant("b"), "ed25519")
    return Plan([Stream("a", batches, None, load.connections, 2), Stream("b", singles, load.rate, 4, 32)])


SCENARIOS: Mapping[str, tuple[Maker, str]] = {
    "sign": (_one(sign_requests, paced=False), "single signs, closed loop: as many as it can do"),
    "verify": (_one(verify_requests, paced=False), "single verifies, closed loop"),
    "wrap": (_one(wrap_requests, paced=False, suite=WRAP_SUITE), "wraps and unwraps, closed loop"),
    "batch": (_batch, "batches of signs, closed loop"),
    "sign-paced": (_one(sign_requests, paced=True), "single signs at a rate"),
    "verify-paced": (_one(verify_requests, paced=True), "single verifies at a rate"),
    "wrap-paced": (_one(wrap_requests, paced=True, suite=WRAP_SUITE), "wraps and unwraps at a rate"),
    "steady": (_steady, "70 % sign, 20 % verify, 10 % wrap and unwrap at a rate"),
    "burst": (_burst, "signs at a rate, ten times as many in the middle third"),
    "isolation-80": (_isolation((8, 8), (2, 8)), "two tenants with 64 and 16 requests under way, closed loop"),
    "isolation-99": (_isolation((11, 9), (1, 1)), "two tenants with 99 requests under way and 1, closed loop"),
    "flood": (_flood, "one tenant's batches of 1,024 ML-DSA signatures against another's single signs at a rate"),
}


def names() -> list[str]:
    return list(SCENARIOS)


def plan(name: str, service: Service, load: Load) -> Plan:
    """Make keys and requests for a scenario."""
    return SCENARIOS[name][0](service, load)
