"""What is asked of the service, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from perf.load.generator import Stream
from perf.load.scenarios import (
    BODIES,
    create_requests,
    rotate_requests,
    sign_requests,
    unwrap_requests,
    verify_requests,
    wrap_requests,
)
from perf.load.service import Service, Tenant
from perf.load.wire import Request


class Suites(NamedTuple):
    """What is signed with, and what is wrapped with."""

    sign: str
    wrap: str


SUITES: Mapping[str, Suites] = {
    "classical": Suites("ed25519", "x25519"),
    "ml-dsa": Suites("ml-dsa-65", "ml-kem-768"),
    "hybrid": Suites("ed25519+ml-dsa-65", "x25519+ml-kem-768"),
}
"""By the name that the command line has for them."""


class Load(NamedTuple):
    """What the command line says of a mix.

    :ivar suites: of its keys.
    :ivar connections: of each kind of client.
    :ivar depth: requests under way on each of them, at most.
    :ivar seconds: of a round.
    :ivar batch: operations in a batch.
    :ivar share: of the target that a steady rate is; None: what the mix has of its own.
    :ivar burst_mult: how many times the target a burst is.
    :ivar rotate_rate: rotations a second while nothing special goes on; ten times as many in a flood.
    """

    suites: Suites = SUITES["classical"]
    connections: int = 8
    depth: int = 8
    seconds: float = 1.0
    batch: int = 256
    share: float | None = None
    burst_mult: float = 10.0
    rotate_rate: float = 5.0


class Mix(NamedTuple):
    """Requests, ready to be sent.

    :ivar closed: clients that send a request for each answer: they find out the target, how many operations a second
        the service can do of this mix. Empty where a mix needs none.
    :ivar streams: its clients, given the target; ``begin`` and ``end`` are within a round.
    """

    closed: Sequence[Stream]
    streams: Callable[[float], list[Stream]]


class Kind(NamedTuple):
    """A mix that can be asked for.

    :ivar periodic: it has a beginning and an end: a round is one interval of it.
    """

    make: Callable[[Service, Load], Mix]
    periodic: bool
    meaning: str


STEADY_SHARE = 0.8
CALM_SHARE = 0.5
"""Beside a burst or a flood of rotations: the service is neither idle nor full."""
BURST = 0.2
FLOOD = 0.5
"""Parts of a round: 60 s of 300; and half, so that the other half shows what comes after."""
FLOOD_TIMES = 10
SINGLES_A_SECOND = 50.0


def steady_requests(service: Service, tenant: Tenant, suites: Suites) -> list[Request]:
    """70 % sign, 20 % verify, 10 % wrap and unwrap, half each."""
    parts = (
        (sign_requests(service, tenant, suites.sign), 14),
        (verify_requests(service, tenant, suites.sign), 4),
        (wrap_requests(service, tenant, suites.wrap), 1),
        (unwrap_requests(service, tenant, suites.wrap), 1),
    )
    # As many of each as of the others, times its weight.
    return [request for made, weight in parts for request in (made * BODIES)[:BODIES] * weight]


def _calibrating(requests: Sequence[Request]) -> list[Stream]:
    """As many under way as keep a core busy, and no more: what is refused tells nothing about the target."""
    return [Stream("all", requests, None, 8, 8)]


def _open(name: str, requests: Sequence[Request], rate: float, load: Load) -> Stream:
    return Stream(name, requests, rate, load.connections, max(load.depth, 32))


def _single(meaning: str, requests: Callable[[Service, Tenant, Load], list[Request]]) -> Kind:
    """One kind of request, as many as the service can do."""

    def make(service: Service, load: Load) -> Mix:
        stream = Stream("all", requests(service, service.tenant("a"), load), None, load.connections, load.depth)
        return Mix((), lambda _: [stream])

    return Kind(make, False, meaning)


def _batch(service: Service, load: Load) -> Mix:
    """Four at a time keep a core busy; more would wait for longer than the service lets them."""
    requests = sign_requests(service, service.tenant("a"), load.suites.sign, load.batch)
    return Mix((), lambda _: [Stream("all", requests, None, 2, 2, items=load.batch)])


def _steady(service: Service, load: Load) -> Mix:
    requests = steady_requests(service, service.tenant("a"), load.suites)
    share = STEADY_SHARE if load.share is None else load.share
    return Mix(_calibrating(requests), lambda target: [_open("all", requests, target * share, load)])


def _burst(service: Service, load: Load) -> Mix:
    requests = sign_requests(service, service.tenant("a"), load.suites.sign)
    begin = load.seconds * (1 - BURST) / 2
    end = begin + load.seconds * BURST
    share = CALM_SHARE if load.share is None else load.share

    def streams(target: float) -> list[Stream]:
        calm = target * share
        burst = Stream("burst", requests, target * load.burst_mult, load.connections, load.depth, begin, end, 1, True)
        return [
            replace(_open("before", requests, calm, load), end=begin),
            burst,
            replace(_open("after", requests, calm, load), begin=end),
        ]

    return Mix(_calibrating(requests), streams)


def _rotate(service: Service, load: Load) -> Mix:
    tenant = service.tenant("a")
    mixed = steady_requests(service, tenant, load.suites)
    rotates = rotate_requests(service, tenant, load.suites.sign)
    half = load.seconds * FLOOD
    share = CALM_SHARE if load.share is None else load.share

    def streams(target: float) -> list[Stream]:
        return [
            replace(_open("flood", mixed, target * share, load), end=half),
            Stream("flood's rotations", rotates, load.rotate_rate * FLOOD_TIMES, 2, 32, 0.0, half),
            replace(_open("steady", mixed, target * share, load), begin=half),
            Stream("steady's rotations", rotates, load.rotate_rate, 2, 32, half),
        ]

    return Mix(_calibrating(mixed), streams)


def _isolation(top: tuple[int, int], low: tuple[int, int]) -> Callable[[Service, Load], Mix]:
    """Two tenants without a pause: how many connections each has, and how many requests under way on each of them."""

    def make(service: Service, load: Load) -> Mix:
        streams = []
        for name, (connections, depth) in (("top", top), ("low", low)):
            requests = sign_requests(service, service.tenant(name), load.suites.sign)
            streams.append(Stream(name, requests, None, connections, depth))
        return Mix((), lambda _: streams)

    return make


def _flood(service: Service, load: Load) -> Mix:
    batches = sign_requests(service, service.tenant("a"), "ml-dsa-65", 1024)
    singles = sign_requests(service, service.tenant("b"), "ed25519")
    streams = [
        Stream("batches", batches, None, max(1, load.connections // 2), 2, items=1024),
        Stream("singles", singles, SINGLES_A_SECOND, 4, 32),
    ]
    return Mix((), lambda _: streams)


def _signs(service: Service, tenant: Tenant, load: Load) -> list[Request]:
    return sign_requests(service, tenant, load.suites.sign)


def _verifies(service: Service, tenant: Tenant, load: Load) -> list[Request]:
    return verify_requests(service, tenant, load.suites.sign)


def _wraps(service: Service, tenant: Tenant, load: Load) -> list[Request]:
    made, opened = (make(service, tenant, load.suites.wrap) for make in (wrap_requests, unwrap_requests))
    return [*(made * BODIES)[: len(opened)], *opened]


def _keys(service: Service, load: Load) -> Mix:
    """Changes: each is on the disk before its answer."""
    tenant, suite = service.tenant("a"), load.suites.sign
    rotates = rotate_requests(service, tenant, suite)
    requests = [*create_requests(service, tenant, suite) * len(rotates), *rotates]
    return Mix((), lambda _: [Stream("all", requests, None, 2, 2)])


MIXES: Mapping[str, Kind] = {
    "steady": Kind(_steady, False, "70 % sign, 20 % verify, 10 % wrap and unwrap, at 0.8 of the target"),
    "burst": Kind(_burst, True, "signs at half the target, a fifth of the time at many times the target"),
    "rotate": Kind(_rotate, True, "steady at half the target; ten times the rotations in the first half"),
    "isolation-80": Kind(_isolation((8, 8), (2, 8)), False, "two tenants, 64 requests under way against 16"),
    "isolation-99": Kind(_isolation((11, 9), (1, 1)), False, "two tenants, 99 requests under way against 1"),
    "flood": Kind(_flood, False, "batches of 1,024 ML-DSA signatures against another tenant's 50 signs a second"),
    "sign": _single("single signs, as many as it can do", _signs),
    "verify": _single("single verifies, as many as it can do", _verifies),
    "wrap": _single("wraps and unwraps, half each, as many as it can do", _wraps),
    "keys": Kind(_keys, False, "keys made and rotated, half each, four at a time, as many as it can do"),
    "batch": Kind(_batch, False, "batches of signs, four at a time, as many as it can do"),
}


def prepare(name: str, service: Service, load: Load) -> Mix:
    """Make keys and requests."""
    return MIXES[name].make(service, load)
