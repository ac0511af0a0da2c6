"""What ``/metrics`` answers: the workers' counts, summed, and what only the supervisor sees: readiness by its keys, and
what each process takes of the machine.

Each family below is in :data:`FAMILIES`, from which the documentation is checked.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from ron_kms import _core
from ron_kms.errors import KmsError
from ron_kms.model import Use
from ron_kms.server.readiness import NEEDED, WISHED, Heard, Readiness
from ron_kms.server.usage import Usage, usage
from ron_kms.store.database import Database
from ron_kms.store.keys import count_keys

_KEYS_SECONDS = 10.0


class Family(NamedTuple):
    """A metric of the supervisor's own; ``kind`` is ``gauge`` or ``counter``."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str

    def filled(self, samples: Iterable[tuple[Sequence[str], float]]) -> Metric:
        """The family with a value for each tuple of labels."""
        make = CounterMetricFamily if self.kind == "counter" else GaugeMetricFamily
        family = make(self.name, self.help, labels=self.labels)
        for labels, value in samples:
            family.add_metric(labels, value)
        return family


KEYS = Family("kms_keys_total", "gauge", ("use",), "Keys in the store, destroyed ones too")
READY = Family("kms_ready", "gauge", (), "Whether /readyz answers 200")
READINESS = Family("kms_readiness", "gauge", ("key",), "Each key of /readyz: 1 where it is good in every worker")
RESTARTS = Family("kms_worker_restarts_total", "counter", ("process",), "Workers that died and were replaced")
MEMORY = Family("kms_process_resident_bytes", "gauge", ("process",), "Resident memory")
CPU = Family("kms_process_cpu_seconds_total", "counter", ("process",), "Processor time, user and system")
FILES = Family("kms_process_open_files", "gauge", ("process",), "Open descriptors")
FILES_MAX = Family("kms_process_open_files_max", "gauge", ("process",), "How many descriptors may be open")
BUILD = Family("kms_build_info", "gauge", ("version", "liboqs", "libsodium"), "1; what runs here, as labels")

FAMILIES = (KEYS, READY, READINESS, RESTARTS, MEMORY, CPU, FILES, FILES_MAX, BUILD)


class Exposition:
    """Prometheus text for one scrape.

    :param folder: the workers' metrics.
    :param readiness: judges the service now.
    :param workers: what was last heard of each slot.
    :param database: whose keys are counted, off the event loop.
    """

    def __init__(
        self,
        folder: Path,
        readiness: Callable[[], Readiness],
        workers: Callable[[], Sequence[Heard]],
        database: Database,
    ) -> None:
        self._folder = folder
        self._database = database
        self._keys: dict[str, int] = {}
        self._counted = -_KEYS_SECONDS
        self._readiness = readiness
        self._workers = workers

    def collect(self) -> Collector:
        """The supervisor's own view of this moment; to be called on the event loop."""
        return _View(self._readiness(), tuple(_heard(worker) for worker in self._workers()))

    def text(self, view: Collector) -> bytes:
        """Everything, in Prometheus' text format 0.0.4; reads files, so not on the event loop."""
        registry = CollectorRegistry(auto_describe=False)
        MultiProcessCollector(registry, path=str(self._folder))  # type: ignore[no-untyped-call]
        registry.register(view)
        registry.register(_Keys(self._count()))
        return generate_latest(registry)

    def _count(self) -> dict[str, int]:
        """By use; as it was while the store is away."""
        now = time.monotonic()
        if now - self._counted >= _KEYS_SECONDS:
            self._counted = now
            with contextlib.suppress(KmsError):
                self._keys = self._database.read(count_keys).result()
        return self._keys


class _Keys(Collector):
    def __init__(self, counts: dict[str, int]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        yield KEYS.filled(((use,), float(self._counts.get(use, 0))) for use in get_args(Use))


class _Worker(NamedTuple):
    process: str
    usage: Usage | None
    restarts: int


def _heard(worker: Heard) -> _Worker:
    return _Worker(f"worker-{worker.slot}", None if worker.report is None else worker.report.usage, worker.restarts)


class _View(Collector):
    def __init__(self, readiness: Readiness, workers: Sequence[_Worker]) -> None:
        self._readiness = readiness
        self._workers = workers

    def collect(self) -> Iterator[Metric]:
        wrong = {*self._readiness.missing, *self._readiness.degraded}
        yield READY.filled([((), float(self._readiness.ready))])
        yield READINESS.filled(((key,), float(key not in wrong)) for key in (*NEEDED, *WISHED))
        yield RESTARTS.filled(((worker.process,), worker.restarts) for worker in self._workers)
        used = {"supervisor": usage()}
        used.update((worker.process, worker.usage) for worker in self._workers if worker.usage is not None)
        yield MEMORY.filled(((name,), one.resident) for name, one in used.items())
        yield CPU.filled(((name,), one.cpu_seconds) for name, one in used.items())
        yield FILES.filled(((name,), one.files) for name, one in used.items())
        yield FILES_MAX.filled(((name,), one.files_max) for name, one in used.items())
        yield BUILD.filled([((version("ron-kms"), _core.liboqs_version(), _core.sodium_version()), 1.0)])
