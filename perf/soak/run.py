"""A service under a steady mix, in slices; between two slices it rests and is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from perf.floor import signature_us
from perf.load.generator import Outcome, Stream, run
from perf.load.service import Service, Watch
from perf.load.usage import Sample
from perf.soak.ledger import disk_bytes

_REST_SECONDS = 3.0
"""How long a service may take to let go of the connections of a slice."""


class Rest(NamedTuple):
    """The service between two slices, without connections.

    :ivar at: seconds since the run began.
    :ivar files: descriptors of its workers; ``threads``: their threads.
    :ivar audit: bytes of the audit logs on the disk.
    :ivar floor: microseconds of processor time of one Ed25519 signature.
    """

    at: float
    files: int
    threads: int
    audit: int
    floor: float


@dataclass
class Soaked:
    """
    :ivar since: when the load began, in seconds since 1970.
    :ivar warm: what came of the slice that warmed the service up: in the audit log like all others, in no figure.
    :ivar began: when each slice began, in seconds since the run did.
    :ivar rests: after the warm-up and after each slice.
    :ivar cpu: seconds of processor time of the workers, all slices.
    """

    since: float
    warm: Outcome
    began: list[float] = field(default_factory=list)
    slices: list[Outcome] = field(default_factory=list)
    rests: list[Rest] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    cpu: float = 0.0


def soak(
    service: Service, streams: Sequence[Stream], operations: int, rate: float, slices: int, tell: Callable[[str], None]
) -> Soaked:
    """Run until so many operations were answered, in so many slices or a few more."""
    origin = time.perf_counter()
    since = time.time()
    seconds = operations / rate / slices
    items = {stream.name: stream.items for stream in streams}

    def load(number: int) -> Outcome:
        connect = service.transport.connect
        return run(service.address, streams, seconds=seconds, warmup=0.0, connect=connect, seed=number)

    soaked = Soaked(since, load(0))
    soaked.rests.append(_rest(service, origin, None))
    done = 0
    with Watch(service) as watch:
        watched = time.perf_counter() - origin
        while done < operations and len(soaked.slices) < 3 * slices:
            soaked.began.append(time.perf_counter() - origin)
            outcome = load(len(soaked.began))
            soaked.slices.append(outcome)
            soaked.rests.append(_rest(service, origin, soaked.rests[0]))
            done += sum(items[name] * sum(map(len, seen.latencies.values())) for name, seen in outcome.seen.items())
            tell(f"{done:,} of {operations:,} operations, {_resident_mib(service):.0f} MiB")
    soaked.samples = [sample._replace(at=sample.at + watched) for sample in watch.usage.samples]
    soaked.cpu = watch.usage.workers_cpu
    return soaked


def _resident_mib(service: Service) -> float:
    """Resident memory of the workers."""
    return sum(_status(pid, "VmRSS") for pid in service.workers()) / 1024


def _rest(service: Service, origin: float, first: Rest | None) -> Rest:
    """Look once the connections of the slice are gone, or will not go."""
    workers = service.workers()
    until = time.monotonic() + _REST_SECONDS
    files = _files(workers)
    while time.monotonic() < until and (files > first.files if first else not _settled(workers, files)):
        time.sleep(0.05)
        files = _files(workers)
    return Rest(
        at=time.perf_counter() - origin,
        files=files,
        threads=sum(_status(pid, "Threads") for pid in workers),
        audit=disk_bytes(service.data_dir / "audit"),
        floor=signature_us(service.cores),
    )


def _settled(workers: Sequence[int], files: int) -> bool:
    """Whether nothing is being closed any more."""
    time.sleep(0.5)
    return _files(workers) == files


def _files(pids: Sequence[int]) -> int:
    return sum(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for pid in pids)


def _status(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
