"""One tenant and many: each with a token and a key of its own, in turns at random.

All services run at once, on one core, and are loaded one after the other, so that what disturbs the machine disturbs
all. Verify needs of a tenant its token, its share, its policy and a public key; sign its private key besides, of which
a worker holds 1,024 ready, so that with more keys than these most signatures open one.
"""

from __future__ import annotations

import os
import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
from msgspec.structs import replace

from perf.load.service import Service, digest, serving
from perf.load.wire import Request
from perf.micro.figures import of_rounds
from perf.micro.targets import Verdict, verdict_of
from perf.record import Record
from perf.scale import laps
from perf.scale.laps import Lap
from perf.scale.stores import Filling, copy

SHORT = (1, 10, 200)
FULL = (1, 10, 100, 1_000, 10_000)
SLOTS = 1_024
"""Private keys that a worker holds ready."""
VERIFY_LIMIT = 1.25
"""A verification for one tenant of many, by one for the only tenant."""
LINES_LIMIT = 1.1
_VISITS = 4
"""How often each tenant is asked for before anything is measured, on average."""
_GUESSED_RATE = 3_000.0
_WARM_MOST = 15.0


def of(operation: str, tenants: int) -> str:
    """What a measure is of."""
    return f"{operation}, {tenants} tenants"


def measure(
    begun: Record,
    numbers: Sequence[int],
    rounds: int,
    seconds: float,
    server: str,
    cache: Path,
    tell: Callable[[str], None],
) -> tuple[Record, list[Verdict]]:
    """Rounds of all services in turns.

    ``detail``: ``memory`` has the resident MiB of the worker by number of tenants, ``metrics`` the lines that
    ``/metrics`` has.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    found: dict[str, list[Lap]] = {}
    lines: dict[str, int] = {}
    with ExitStack() as running:
        asked: dict[int, tuple[Service, dict[str, list[Request]]]] = {}
        for number in numbers:
            filling = Filling(max(number, 10), number)
            place = running.enter_context(copy(filling, cache))
            settings = {"server": server, "store_url": place.url, "seal": place.seal, "max_wait_ms": "0"}
            service = running.enter_context(serving(cores[:1], **settings))
            asked[number] = service, _requests(service, filling)
        for number, (service, requests) in asked.items():
            tell(f"every one of {number} tenants is asked for")
            for made in requests.values():
                laps.lap(service, laps.closed(made), min(_WARM_MOST, 0.5 + number * _VISITS / _GUESSED_RATE))
        for turn in range(rounds):
            tell(f"round {turn + 1} of {rounds}")
            for number, (service, requests) in asked.items():
                for operation, made in requests.items():
                    lap = laps.lap(service, laps.closed(made), seconds)
                    found.setdefault(of(operation, number), []).append(lap)
        for number, (service, _) in asked.items():
            lines[str(number)] = len(httpx.get(f"{service.endpoints['operator']}/metrics").text.splitlines())
    os.sched_setaffinity(0, cores)
    memory = {str(number): _resident(found[of("sign", number)]) for number in numbers}
    detail: dict[str, Any] = {"memory": memory, "metrics": lines, "busy": laps.busy(found)}
    return replace(begun, measures=tuple(laps.measures(found)), detail=detail), list(judge(found, lines, numbers))


def _resident(found: Sequence[Lap]) -> float:
    return round(statistics.median(one.resident for one in found), 2)


def _requests(service: Service, filling: Filling) -> dict[str, list[Request]]:
    """A request for each tenant. All keys of a filled store have one private key, and so one signature."""
    asked = digest(random.Random(0))
    kids = [filling.kid(number) for number in range(filling.tenants)]
    sigs = service.call("sign", {"kid": kids[0], "digest": asked})["sigs"]
    tenants = [service.tenant(f"tenant-{number}") for number in range(filling.tenants)]
    return {
        "verify": [
            service.request(tenant, "verify", {"kid": f"{kid}#v1", "digest": asked, "sigs": sigs})
            for tenant, kid in zip(tenants, kids, strict=True)
        ],
        "sign": [
            service.request(tenant, "sign", {"kid": kid, "digest": asked})
            for tenant, kid in zip(tenants, kids, strict=True)
        ],
    }


def judge(found: dict[str, list[Lap]], lines: dict[str, int], numbers: Sequence[int]) -> Iterator[Verdict]:
    """Whether the many cost what the one does, as long as their keys are held ready, and make no more metrics."""
    few = numbers[0]
    for operation in ("verify", "sign"):
        held = [number for number in numbers if operation == "verify" or number <= SLOTS]
        many = max(held)
        pairs = zip(found[of(operation, few)], found[of(operation, many)], strict=True)
        ratio = of_rounds([b.cpu / a.cpu for a, b in pairs])
        yield verdict_of("cost", of(operation, many), VERIFY_LIMIT, ratio, ratio.value <= VERIFY_LIMIT)
    more = of_rounds([lines[str(numbers[-1])] / lines[str(few)]])
    yield verdict_of(
        "metrics", f"lines of /metrics, {numbers[-1]} tenants", LINES_LIMIT, more, more.value <= LINES_LIMIT
    )
