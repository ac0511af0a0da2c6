"""A model fitted to the records: what an operation, a tenant and a record of the audit log cost.

processor time an operation = base / batch + item + byte x KiB of request and answer + what the core takes for it

``base`` (a request) and ``item`` are of each operation, the price of a KiB is one for all, the core's part is measured
by itself. Fitted by least squares with every point weighted by its own cost, so that 10 % counts alike at 20 us and at
200. Memory is a line by tenants, over a supervisor and workers.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from perf import record
from perf.record import Measure, Record
from perf.scale import batch, workers

NAMES = ("batch", "tenants", "workers")
"""The records that a model is fitted to."""


class Payload(msgspec.Struct, frozen=True):
    """Bytes of request and answer an item: alone, and in a large batch."""

    single: float
    many: float

    def at(self, items: int) -> float:
        return self.many + (self.single - self.many) / items


class Memory(msgspec.Struct, frozen=True):
    """MiB.

    :ivar supervisor: of the process that starts the workers; ``worker``: of each of these under load.
    :ivar tenant: of each tenant with a token and a key in use, in each worker.
    :ivar residual: the largest distance of the line by tenants from what was measured.
    """

    supervisor: float
    worker: float
    tenant: float
    residual: float


class Two(msgspec.Struct, frozen=True):
    """Microseconds of processor time."""

    request: float
    item: float


class Model(msgspec.Struct, frozen=True):
    """
    :ivar base: microseconds a request, by operation; ``item``: an item; ``kib``: a KiB of request and answer.
    :ivar core: microseconds that the core takes, by operation and suite.
    :ivar payload: by operation and suite.
    :ivar record: bytes of a record of the audit log on the disk, tree and checkpoints included.
    :ivar two: microseconds that two workers on two cores pay more than one on one, a request and an item.
    :ivar median: residual of the fit, a share of what was measured; ``worst``: the largest, and ``worst_of`` which.
    :ivar points: what was measured and what the model says, by cell.
    :ivar sources: files that it was fitted to.
    """

    server: str
    base: dict[str, float]
    item: dict[str, float]
    kib: float
    core: dict[str, float]
    payload: dict[str, Payload]
    record: float
    two: Two
    memory: Memory
    median: float
    worst: float
    worst_of: str
    points: dict[str, tuple[float, float]]
    sources: list[str]

    def cost(self, operation: str, suite: str, items: int) -> float:
        """Microseconds of processor time an operation.

        :raises LookupError: this was not measured; the message says what was.
        """
        of = f"{operation} {suite}"
        if of not in self.core:
            raise LookupError(f"{of} was not measured; these were: {', '.join(self.core)}")
        over = self.base[operation] / items + self.item[operation]
        return over + self.kib * self.payload[of].at(items) / 1024 + self.core[of]


class Point(NamedTuple):
    """A cell as it was measured: microseconds an operation, and bytes of request and answer an item."""

    cell: batch.Cell
    cpu: float
    payload: float


def fit(server: str, found: Mapping[str, tuple[Path, Record]]) -> Model:
    """:param found: the records by their names, :data:`NAMES`."""
    of_batches, of_tenants, of_workers = (found[name][1] for name in NAMES)
    core: dict[str, float] = of_batches.detail["core"]
    points = _points(of_batches)
    base, item, kib = _costs(points, core)
    payload = _payloads(points)
    audit = of_batches.detail["audit"]
    empty = Memory(0, 0, 0, 0)
    model = Model(
        server=server,
        base=base,
        item=item,
        kib=kib,
        core=core,
        payload=payload,
        record=round(audit["bytes"] / audit["records"], 1),
        two=_two(of_workers),
        memory=empty,
        median=0,
        worst=0,
        worst_of="",
        points={},
        sources=[path.name for path, _ in found.values()],
    )
    said = {point.cell: (point.cpu, model.cost(*point.cell)) for point in points}
    residuals = {cell: model_us / cpu - 1 for cell, (cpu, model_us) in said.items()}
    worst = max(residuals, key=lambda cell: abs(residuals[cell]))
    return msgspec.structs.replace(
        model,
        memory=_memory(of_tenants, of_workers),
        median=round(statistics.median(map(abs, residuals.values())), 4),
        worst=round(residuals[worst], 4),
        worst_of=str(worst),
        points={str(cell): (round(cpu, 2), round(model_us, 2)) for cell, (cpu, model_us) in said.items()},
    )


def newest(names: Iterable[str], server: str, folder: Path) -> dict[str, tuple[Path, Record]]:
    """The newest records of these names for a server.

    :raises LookupError: one is missing; the message says how it is made.
    """
    found = {}
    for name in names:
        files = sorted(folder.glob(f"scale-{name}-{server}-*.json"))
        if not files:
            raise LookupError(f"no record of {name} with {server} in {folder}: python -m perf.scale {name}")
        found[name] = files[-1], record.load(files[-1])
    return found


def _points(of_batches: Record) -> list[Point]:
    payload = {one.of: statistics.median(one.rounds) for one in of_batches.measures if one.kind == "payload"}
    return [
        Point(batch.parse(one.of), statistics.median(one.rounds), payload[one.of])
        for one in of_batches.measures
        if one.kind == "cpu" and one.of in payload
    ]


def _costs(points: Sequence[Point], core: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float], float]:
    """``base``, ``item`` and ``kib``; a KiB is free where noise would make it cheaper than nothing."""
    operations = list(dict.fromkeys(point.cell.operation for point in points))
    for columns in (2 * len(operations) + 1, 2 * len(operations)):
        rows = np.zeros((len(points), 2 * len(operations) + 1))
        wanted = np.zeros(len(points))
        for row, (cell, cpu, payload) in enumerate(points):
            place = 2 * operations.index(cell.operation)
            rows[row, place], rows[row, place + 1], rows[row, -1] = 1 / cell.items, 1.0, payload / 1024
            rows[row] /= cpu
            wanted[row] = (cpu - core[f"{cell.operation} {cell.suite}"]) / cpu
        solved = [float(one) for one in np.linalg.lstsq(rows[:, :columns], wanted, rcond=None)[0]]
        if columns == 2 * len(operations) or solved[-1] >= 0:
            break
    kib = solved[-1] if len(solved) > 2 * len(operations) else 0.0
    base = {operation: round(solved[2 * place], 3) for place, operation in enumerate(operations)}
    item = {operation: round(solved[2 * place + 1], 3) for place, operation in enumerate(operations)}
    return base, item, round(kib, 4)


def _payloads(points: Sequence[Point]) -> dict[str, Payload]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(f"{point.cell.operation} {point.cell.suite}", []).append(point)
    ordered = {of: sorted(same, key=lambda point: point.cell.items) for of, same in found.items()}
    return {of: Payload(same[0].payload, same[-1].payload) for of, same in ordered.items()}


def _two(of_workers: Record) -> Two:
    """Out of singles and batches, signed with Ed25519; nothing where two cost less, by chance."""

    def more(of: str) -> float:
        one, two = (_median(of_workers.measures, "cpu", workers.of(of, count)) for count in (1, 2))
        return max(0.0, two - one)

    single, many = more("sign ed25519"), more(f"sign ed25519, batch {workers.BATCH}")
    request = max(0.0, (single - many) / (1 - 1 / workers.BATCH))
    return Two(round(request, 2), round(max(0.0, many - request / workers.BATCH), 2))


def _memory(of_tenants: Record, of_workers: Record) -> Memory:
    one, two = (_median(of_workers.measures, "all_resident", workers.of("sign ed25519", count)) for count in (1, 2))
    by_tenants: dict[str, float] = of_tenants.detail["memory"]
    numbers, resident = [float(number) for number in by_tenants], list(by_tenants.values())
    line = statistics.linear_regression(numbers, resident)
    distances = [abs(line.intercept + line.slope * at - value) for at, value in zip(numbers, resident, strict=True)]
    return Memory(
        round(2 * one - two, 1), round(two - one, 1), round(max(line.slope, 0.0), 6), round(max(distances), 2)
    )


def _median(measures: Sequence[Measure], kind: str, of: str) -> float:
    return next(statistics.median(one.rounds) for one in measures if (one.kind, one.of) == (kind, of))
