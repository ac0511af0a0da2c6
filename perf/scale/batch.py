"""Batches of 1 to 1,024 items: over HTTP, in process, and what the core alone takes for them."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

import ron_kms
from perf.floor import operation_us
from perf.load.batches import batch_requests
from perf.load.scenarios import sign_requests, verify_requests, wrap_requests
from perf.load.service import Service, Tenant, serving
from perf.load.wire import Request
from perf.record import Measure, Record
from perf.scale import laps
from perf.scale.laps import Lap
from perf.soak.ledger import disk_bytes, held
from ron_kms.model import Use
from ron_kms.service.local import LocalKms

SHORT = (1, 16, 256)
FULL = (1, 2, 4, 8, 16, 64, 256, 1024)
CELLS = (
    ("sign", "ed25519"),
    ("sign", "ml-dsa-65"),
    ("sign", "ed25519+ml-dsa-65"),
    ("verify", "ed25519"),
    ("verify", "ed25519+ml-dsa-65"),
    ("wrap", "x25519"),
    ("wrap", "x25519+ml-kem-768"),
)
IN_PROCESS = "in process: "
"""Before the name of a cell that was measured through ``ron_kms.open``."""
_LOCAL_ITEMS = 512
"""In process a lap has at least so many items."""


class Cell(NamedTuple):
    """What is asked for: ``sign ed25519, batch 16``."""

    operation: str
    suite: str
    items: int

    def __str__(self) -> str:
        return f"{self.operation} {self.suite}, batch {self.items}"


def parse(of: str) -> Cell:
    """:raises ValueError: it is not a cell's name."""
    first, _, items = of.partition(", batch ")
    operation, _, suite = first.partition(" ")
    return Cell(operation, suite, int(items))


def measure(
    begun: Record,
    cells: Sequence[tuple[str, str]],
    sizes: Sequence[int],
    rounds: int,
    seconds: float,
    server: str,
    tell: Callable[[str], None],
) -> Record:
    """Rounds of all cells in turns.

    ``detail``: ``core`` has microseconds of processor time an operation in the core, by operation and suite;
    ``audit`` the records of the service's log and the bytes that its tiles take on the disk.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    found: dict[str, list[Lap]] = {}
    core: dict[str, list[float]] = {f"{operation} {suite}": [] for operation, suite in cells}
    local: dict[str, list[float]] = {}
    with _local() as kms, serving(cores[:1], server=server, max_wait_ms="0") as service:
        asked = dict(_requests(service, cells, sizes))
        calls = dict(_calls(kms, asked))
        sizes_of = {cell: _payload(service, cell, requests[0]) for cell, requests in asked.items()}
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}")
            for operation, suite in cells:
                core[f"{operation} {suite}"].append(operation_us(operation, suite, cores[:1]))
            for cell, requests in asked.items():
                found.setdefault(str(cell), []).append(lap_of(service, cell, requests, seconds))
                local.setdefault(str(cell), []).append(_cpu(calls[cell], cell.items))
        service.process.terminate()
        service.process.wait(60)
        records = held(service.data_dir, time.time()).size
        size = sum(map(disk_bytes, (service.data_dir / "audit").rglob("tile")))
    os.sched_setaffinity(0, cores)
    payload = [Measure("payload", str(cell), (size,)) for cell, size in sizes_of.items()]
    in_process = [Measure("cpu", IN_PROCESS + of, tuple(round(one, 4) for one in costs)) for of, costs in local.items()]
    detail = {
        "core": {of: round(statistics.median(values), 3) for of, values in core.items()},
        "audit": {"records": records, "bytes": size},
        "busy": laps.busy(found),
    }
    return replace(begun, measures=(*laps.measures(found), *payload, *in_process), detail=detail)


def lap_of(service: Service, cell: Cell, requests: Sequence[Request], seconds: float) -> Lap:
    return laps.lap(service, laps.closed(requests, cell.items), seconds)


def _requests(
    service: Service, cells: Sequence[tuple[str, str]], sizes: Sequence[int]
) -> Iterator[tuple[Cell, list[Request]]]:
    """Those that fit into a body."""
    tenant = service.tenant("scale")
    singles: dict[str, Callable[[Service, Tenant, str], list[Request]]] = {
        "sign": sign_requests,
        "verify": verify_requests,
        "wrap": wrap_requests,
    }
    for operation, suite in cells:
        for items in sizes:
            if items == 1:
                made = [one for one in singles[operation](service, tenant, suite) if one.name.startswith(operation)]
            else:
                made = batch_requests(service, tenant, operation, suite, items)
            if made:
                yield Cell(operation, suite, items), made


def _payload(service: Service, cell: Cell, request: Request) -> float:
    """Bytes of request and answer, by item."""
    body = b"".join(content for _, content in request.frames[1:])
    path = f"./{cell.operation}" if cell.items == 1 else f"./{cell.operation}:batch"
    answer = service.client.post(path, content=body, headers={"content-type": "application/json"})
    answer.raise_for_status()
    return round((len(body) + len(answer.content)) / cell.items, 1)


@contextlib.contextmanager
def _local() -> Iterator[LocalKms]:
    with tempfile.TemporaryDirectory(prefix="ron-kms-scale-") as folder:
        path = Path(folder)
        with ron_kms.open(f"sqlite:///{path}/keys.db", seal=f"keyfile:{path}/root.key") as kms:
            yield kms


def _calls(kms: LocalKms, cells: Iterable[Cell]) -> Iterator[tuple[Cell, Callable[[], object]]]:
    """The same in process: a call for each."""
    for cell in cells:
        use: Use = "wrap" if cell.operation == "wrap" else "sign"
        kid = kms.create(tenant="scale", purpose="batch", use=use, suite=cell.suite)
        bare = kid.partition("#")[0]
        digests = [{"digest": number.to_bytes(32, "big")} for number in range(cell.items)]
        if cell.operation == "wrap":
            yield cell, partial(kms.wrap_batch, [{"size": 32}] * cell.items, kid=bare)
        elif cell.operation == "sign":
            yield cell, partial(kms.sign_batch, digests, kid=bare)
        else:
            signed = kms.sign_batch(digests, kid=bare)
            asked = [{**item, "sigs": one.sigs} for item, one in zip(digests, signed, strict=True)]
            yield cell, partial(kms.verify_batch, asked, kid=kid)


def _cpu(call: Callable[[], object], items: int) -> float:
    """Microseconds of processor time an item."""
    times = max(2, _LOCAL_ITEMS // items)
    call()
    began = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - began) / 1e3 / times / items
