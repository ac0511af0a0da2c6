"""One worker and two, on two cores. With two workers the clients run on the cores of the service.

So the rate with two says what the machine does in all, client included, and not twice what one worker does; how much
more an operation costs where two work at once, its processor time says.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from msgspec.structs import replace

from perf.load.batches import batch_requests
from perf.load.generator import Stream
from perf.load.scenarios import sign_requests
from perf.load.service import Service, serving
from perf.micro.figures import of_rounds
from perf.micro.targets import Verdict, verdict_of
from perf.record import Record
from perf.scale import laps
from perf.scale.laps import Lap

BATCH = 256
LIMIT = 1.25
"""What an operation costs with two workers, by with one."""


def of(operation: str, workers: int) -> str:
    """What a measure is of."""
    return f"{operation}, {workers} workers"


def measure(
    begun: Record, rounds: int, seconds: float, server: str, tell: Callable[[str], None]
) -> tuple[Record, list[Verdict]]:
    """Rounds of both services in turns: single signatures, and batches."""
    cores = sorted(os.sched_getaffinity(0))
    found: dict[str, list[Lap]] = {}
    with ExitStack() as running:
        asked: list[tuple[int, set[int], Service, dict[str, Stream]]] = []
        for workers, service_cores, client_cores in (
            (1, cores[:1], {cores[-1]}),
            (2, [cores[0], cores[-1]], set(cores)),
        ):
            service = running.enter_context(serving(service_cores, server=server, max_wait_ms="0"))
            asked.append((workers, client_cores, service, _streams(service)))
        for turn in range(rounds):
            tell(f"round {turn + 1} of {rounds}")
            for workers, client_cores, service, streams in asked:
                os.sched_setaffinity(0, client_cores)
                for name, stream in streams.items():
                    found.setdefault(of(name, workers), []).append(laps.lap(service, stream, seconds))
    os.sched_setaffinity(0, cores)
    detail: dict[str, Any] = {"busy": laps.busy(found)}
    return replace(begun, measures=tuple(laps.measures(found)), detail=detail), judge(found)


def _streams(service: Service) -> dict[str, Stream]:
    tenant = service.tenant("scale")
    return {
        "sign ed25519": laps.closed(sign_requests(service, tenant, "ed25519")),
        f"sign ed25519, batch {BATCH}": laps.closed(batch_requests(service, tenant, "sign", "ed25519", BATCH), BATCH),
    }


def judge(found: dict[str, list[Lap]]) -> list[Verdict]:
    """Whether an operation costs the same where two work at once."""
    verdicts = []
    for name in ("sign ed25519", f"sign ed25519, batch {BATCH}"):
        pairs = zip(found[of(name, 1)], found[of(name, 2)], strict=True)
        ratio = of_rounds([two.cpu / one.cpu for one, two in pairs])
        verdicts.append(verdict_of("cost", of(name, 2), LIMIT, ratio, ratio.value <= LIMIT))
    return verdicts
