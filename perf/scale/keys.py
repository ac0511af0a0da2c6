"""Few keys and many: create, sign, rotate and open in this process, and the memory of a service that has them.

Every round visits the stores one after the other, another one first each time, so that what disturbs the machine
disturbs all; ratios are taken round by round. A round opens each store anew: nothing of any key is in the process's
memory, while the system's file cache is warm. Samples are of the same tenants in every store, for the first key of a
tenant has its policy read too.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from perf.floor import signature_us
from perf.load.service import Watch, serving
from perf.micro.figures import of_rounds
from perf.micro.targets import Verdict, verdict_of
from perf.record import Measure, Record
from perf.scale.stores import PURPOSE, SUITE, Filling, Place, copy
from ron_kms.service.local import LocalKms

SHORT = (10, 1_000, 20_000)
FULL = (10, 1_000, 100_000, 1_000_000)
SERVERS = ("hypercorn", "granian")
TENANTS = 7
SAMPLES = 10
"""Calls of each kind in a round; of hot signatures ten times as many."""
OPERATIONS = ("create", "sign cold", "sign hot", "rotate")
JUDGED = 100_000
"""The targets are for so many keys, or as many as there are."""
COST_LIMIT = 1.25
OPEN_LIMIT = 3.0
"""Seconds."""
MEMORY_LIMIT = 250.0
"""MiB of all processes, two workers, without load."""
_SETTLE_SECONDS = 2.0
_DIGEST = bytes(32)
_RECOPIED = 1_000
"""Stores up to this size are taken anew each round, for a round adds keys and versions."""


class Cost(NamedTuple):
    """Median of a round's calls: microseconds of processor time of all threads, milliseconds on the clock."""

    cpu: float
    clock: float


class Round(NamedTuple):
    """:ivar open: milliseconds."""

    open: float
    costs: dict[str, Cost]


def measure(
    begun: Record, sizes: Sequence[int], rounds: int, cache: Path, servers: Sequence[str] = SERVERS
) -> tuple[Record, list[Verdict]]:
    """Rounds over stores of these sizes, the smallest first, then the memory of a service over each."""
    chosen = random.Random(0)
    floors: list[float] = []
    found: dict[int, list[Round]] = {size: [] for size in sizes}
    with ExitStack() as kept:
        fillings = [Filling(size, TENANTS) for size in sizes]
        places = {one.keys: kept.enter_context(copy(one, cache)) for one in fillings if one.keys > _RECOPIED}
        for number in range(rounds):
            floors.append(signature_us())
            first = number % len(fillings)
            for filling in fillings[first:] + fillings[:first]:
                if filling.keys in places:
                    found[filling.keys].append(_round(places[filling.keys], chosen))
                else:
                    with copy(filling, cache) as place:
                        found[filling.keys].append(_round(place, chosen))
    memory = {(server, size): idle(size, server, cache) for size in sizes for server in servers}
    measures = [Measure("floor", "", tuple(floors)), *_measures(found), *_memory(memory)]
    verdicts = list(judge(found, memory))
    return replace(begun, measures=tuple(measures)), verdicts


def _round(place: Place, chosen: random.Random) -> Round:
    kids = [place.filling.kid(number) for number in _numbers(place.filling.keys, chosen)]
    before = time.perf_counter_ns()
    kms = place.open()
    opened = (time.perf_counter_ns() - before) / 1e6
    with kms:
        return Round(
            opened,
            {
                "sign cold": _median([partial(kms.sign, kid, digest=_DIGEST) for kid in kids]),
                "sign hot": _median([partial(kms.sign, kids[0], digest=_DIGEST)] * SAMPLES * 10),
                "create": _median([partial(_create, kms, number) for number in range(SAMPLES)]),
                "rotate": _median([partial(kms.rotate, kid) for kid in kids]),
            },
        )


def _numbers(keys: int, chosen: random.Random) -> list[int]:
    """Different keys whose tenants are those of the first ones."""
    rows = (keys - SAMPLES) // TENANTS + 1
    return [chosen.randrange(rows) * TENANTS + number for number in range(SAMPLES)]


def _create(kms: LocalKms, number: int) -> str:
    return kms.create(tenant=f"tenant-{number % TENANTS}", purpose=PURPOSE, suite=SUITE)


def _median(calls: Sequence[Callable[[], object]]) -> Cost:
    clock, cpu = [], []
    for call in calls:
        began, used = time.perf_counter_ns(), time.process_time_ns()
        call()
        cpu.append(time.process_time_ns() - used)
        clock.append(time.perf_counter_ns() - began)
    return Cost(statistics.median(cpu) / 1e3, statistics.median(clock) / 1e6)


def idle(size: int, server: str, cache: Path) -> float:
    """MiB of all processes of a service with two workers over so many keys, a while after its start."""
    cores = sorted(os.sched_getaffinity(0))
    two = [cores[0], cores[-1]]
    with (
        copy(Filling(size, TENANTS), cache) as place,
        serving(two, server=server, store_url=place.url, seal=place.seal) as service,
        Watch(service) as watch,
    ):
        time.sleep(_SETTLE_SECONDS)
    return watch.usage.all_resident / 2**20


def of(operation: str, size: int) -> str:
    """What a measure is of."""
    return f"{operation}, {size} keys"


def _measures(found: dict[int, list[Round]]) -> Iterator[Measure]:
    for size, rounds in found.items():
        for operation in OPERATIONS:
            costs = [one.costs[operation] for one in rounds]
            yield Measure("cpu", of(operation, size), tuple(round(cost.cpu, 2) for cost in costs))
            yield Measure("p50", of(operation, size), tuple(round(cost.clock, 4) for cost in costs))
        yield Measure("p50", of("open", size), tuple(round(one.open, 2) for one in rounds))


def _memory(memory: dict[tuple[str, int], float]) -> Iterator[Measure]:
    for (server, size), resident in memory.items():
        yield Measure("all_resident", f"{server}, 2 workers idle, {size} keys", (round(resident, 1),))


def judge(found: dict[int, list[Round]], memory: dict[tuple[str, int], float]) -> Iterator[Verdict]:
    """The targets, of the store with as many keys as they name, or the largest there is below."""
    few, many = min(found), max(size for size in found if size <= JUDGED)
    for operation in OPERATIONS:
        pairs = zip(found[few], found[many], strict=True)
        ratio = of_rounds([b.costs[operation].cpu / a.costs[operation].cpu for a, b in pairs])
        yield verdict_of("cost", of(operation, many), COST_LIMIT, ratio, ratio.value <= COST_LIMIT)
    seconds = of_rounds([one.open / 1e3 for one in found[many]])
    yield verdict_of("open", of("open", many), OPEN_LIMIT, seconds, max(one.open for one in found[many]) <= 3e3)
    for (server, size), resident in memory.items():
        if size == many:
            taken = of_rounds([resident])
            yield verdict_of("memory", f"{server}, {size} keys", MEMORY_LIMIT, taken, resident <= MEMORY_LIMIT)
