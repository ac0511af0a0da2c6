"""What a worker counts, in Prometheus terms; the names are those that dashboards and gates rely on.

A worker process calls :func:`use_slot` once, before it makes its :class:`Metrics`: values then live in memory-mapped
files named after the worker's slot, which :class:`prometheus_client.multiprocess.MultiProcessCollector` sums over all
workers. A slot outlives its process, so a restarted worker goes on counting where the one before it stopped and no file
is ever added. Without that call (library, tests) values live in the process.

Labels are bounded: operations, suites and error codes, never a key; a tenant only in the gauges of its policy, and only
the first few hundred.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

Tell = Callable[[float], None]
"""Takes a value into a metric."""

_ENTRY = struct.Struct("dd")
"""Of a value and its time, as prometheus-client keeps them in its files."""

_DECADE = (1.0, 1.2, 1.4, 1.7, 2.0, 2.4, 2.9, 3.5, 4.2, 5.0, 6.0, 7.2, 8.6)

LATENCY_BUCKETS = (
    *(5e-5, 6e-5, 7.2e-5, 8.6e-5),
    *(round(step * 10**power, 7) for power in (-4, -3, -2) for step in _DECADE),
    *(0.1, 0.25, 1.0, 5.0),
)
"""Upper bounds in seconds, each a fifth above the one before, the latency goals 1, 3.5, 5, 6 and 10 ms among them: so a
percentile that is read from the histogram is within a tenth of the true one, from 60 us to 80 ms."""

BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Upper bounds in items."""

TENANTS_SHOWN = 256
"""Tenants that have a label of their own."""


def use_slot(directory: Path, slot: int) -> None:
    """Keep this process's values in ``directory`` under the worker's slot number.

    Gauges of the process that had the slot before are dropped, counters and histograms go on. Must come before any
    metric of the process is made, and values may only be changed by one thread at a time.
    """
    for stale in directory.glob(f"gauge_*_{slot}.db"):
        stale.unlink()
    values.ValueClass = _slot_value(directory, slot)


def _slot_value(directory: Path, slot: int) -> type[Any]:
    """As prometheus-client's own value class for many processes, with a slot for the pid and at a fifth of its cost: no
    lock, no look for forks, and no look-up of where a value stands, which never changes. It is assigned as a whole:
    ``pack_into`` would have it 0 for a moment, and others read the file."""
    files: dict[str, Any] = {}

    class SlotValue:
        _multiprocess = True

        def __init__(
            self,
            typ: str,
            metric_name: str,
            name: str,
            labelnames: Any,
            labelvalues: Any,
            help_text: str,
            multiprocess_mode: str = "",
            **_: Any,
        ) -> None:
            prefix = f"{typ}_{multiprocess_mode}" if typ == "gauge" else typ
            if prefix not in files:
                path = os.fspath(directory / f"{prefix}_{slot}.db")
                files[prefix] = MmapedDict(path)  # type: ignore[no-untyped-call]
            key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
            self._file: Any = files[prefix]  # neither says its types nor shows where a value stands
            self._value: float = self._file.read_value(key)[0]
            begin = self._file._positions[key]
            self._place = slice(begin, begin + _ENTRY.size)

        def inc(self, amount: float) -> None:
            self._value = value = self._value + amount
            self._file._m[self._place] = _ENTRY.pack(value, 0.0)

        def set(self, value: float, timestamp: float | None = None) -> None:
            self._value = value
            self._file._m[self._place] = _ENTRY.pack(value, timestamp or 0.0)

        def get(self) -> float:
            return self._value

        def set_exemplar(self, exemplar: Any) -> None:
            """Exemplars have no place in the files."""

        def get_exemplar(self) -> None:
            return None

    return SlotValue


class _Children(dict[tuple[str, ...], Tell]):
    """What tells the children of a metric, by their labels; each is made once, for ``labels()`` costs five times a
    look-up in a dict."""

    def __init__(self, make: Callable[..., Tell]) -> None:
        self._make = make

    def __missing__(self, labels: tuple[str, ...]) -> Tell:
        tell = self[labels] = self._make(*labels)
        return tell


def _adding(metric: Counter | Gauge) -> Callable[..., Tell]:
    """Adds to a child, without the checks that prometheus-client makes each time."""

    def make(*labels: str) -> Tell:
        add: Tell = metric.labels(*labels)._value.inc
        return add

    return make


def _observing(metric: Histogram, bounds: Sequence[float]) -> Callable[..., Tell]:
    """Observes into a child; finds its bucket in a sixth of the time that prometheus-client takes."""

    def make(*labels: str) -> Tell:
        child = metric.labels(*labels)
        add, count = child._sum.inc, [bucket.inc for bucket in child._buckets]

        def observe(value: float) -> None:
            add(value)
            count[bisect_left(bounds, value)](1)

        return observe

    return make


class CacheCounts(Protocol):
    """What the cache of keys tells of itself."""

    @property
    def hits(self) -> int: ...
    @property
    def misses(self) -> int: ...
    @property
    def stale(self) -> int: ...
    @property
    def failures(self) -> int: ...
    @property
    def entries(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def stale_ms(self) -> int: ...
    @property
    def age_ms(self) -> int: ...


class AuditMetrics:
    """What the threads of the audit log count; each value is changed by one thread at a time."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._appends = Counter("kms_audit_appends_total", "Records in the audit log", registry=registry)
        self._checkpoints = Counter("kms_audit_checkpoint_total", "Checkpoints signed", registry=registry)
        self._failed = Counter(
            "kms_audit_integrity_failed_total", "Audit logs found not to be as they were written", registry=registry
        )

    def appended(self, records: int) -> None:
        """So many records are in the log."""
        self._appends.inc(records)

    def checkpointed(self) -> None:
        """A checkpoint was signed."""
        self._checkpoints.inc()

    def damaged(self, _: str) -> None:
        """The log is not as it was written."""
        self._failed.inc()


class Metrics:
    """The counters of one worker, with their labelled children kept at hand.

    :param registry: where they are registered; one of its own by default, so that two instances never collide.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self._ops = Counter(
            "kms_ops_total",
            "Operations by outcome, items of a batch each",
            ["op", "alg", "result"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "kms_latency_seconds",
            "From request to answer",
            ["op", "alg"],
            buckets=LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._inflight = Gauge(
            "kms_inflight", "Requests being worked on", ["op"], multiprocess_mode="livesum", registry=self.registry
        )
        self._depth = Gauge(
            "queue_depth",
            "What waits: small and large jobs (of single requests, slices of batches), and appends to the audit log",
            ["queue"],
            multiprocess_mode="livesum",
            registry=self.registry,
        )
        self._depth_small, self._depth_large = self._depth.labels("small"), self._depth.labels("large")
        self._depth_audit = self._depth.labels("audit")
        self.audit = AuditMetrics(self.registry)
        self._attest = Counter(
            "kms_attest_total", "Requests that evidence was asked for", ["result"], registry=self.registry
        )
        self._attestation_ready = Gauge(
            "attestation_ready",
            "1 where keys have the evidence that signing needs",
            multiprocess_mode="livemin",
            registry=self.registry,
        )
        self._batch = Histogram(
            "kms_batch_size", "Items in a batch request", ["op"], buckets=BATCH_BUCKETS, registry=self.registry
        )
        self._reject = Counter(
            "kms_reject_total", "Signatures and operations refused, by reason", ["reason"], registry=self.registry
        )
        self._rejected = Counter(
            "rejected_total", "Requests refused before any work, by error code", ["reason"], registry=self.registry
        )
        self._scheduled = Counter(
            "kms_scheduled_total",
            "Work done when its time had come (rotate, destroy), a key each",
            ["job", "result"],
            registry=self.registry,
        )
        self._pq_mode = Gauge(
            "kms_pq_mode",
            "Phase of the post-quantum policy in force, 0 classical to 3 pq_only; tenant '*' is the default",
            ["tenant"],
            multiprocess_mode="mostrecent",
            registry=self.registry,
        )
        self._pq_rollout = Gauge(
            "kms_pq_rollout_percent",
            "Share of a tenant's keys that the phase holds for; tenant '*' is the default",
            ["tenant"],
            multiprocess_mode="mostrecent",
            registry=self.registry,
        )
        self._pq_rollbacks = Counter(
            "kms_pq_rollbacks_total",
            "Policies that were taken back to 'or' by the service itself",
            registry=self.registry,
        )
        self._cache_counters = {
            "hits": Counter("verify_cache_hit_total", "Look-ups of a key that needed no store", registry=self.registry),
            "misses": Counter("verify_cache_miss_total", "Look-ups that read the store", registry=self.registry),
            "stale": Counter(
                "verify_cache_stale_total",
                "Entries that were used and could not be refreshed within twice the TTL",
                registry=self.registry,
            ),
            "failures": Counter(
                "verify_cache_refresh_failed_total",
                "Reads that were to refresh entries and failed",
                registry=self.registry,
            ),
        }
        self._cache_gauges = {
            "entries": Gauge("verify_cache_size", "Entries kept", multiprocess_mode="livesum", registry=self.registry),
            "bytes": Gauge(
                "verify_cache_bytes", "Bytes that they take", multiprocess_mode="livesum", registry=self.registry
            ),
            "stale_ms": Gauge(
                "verify_cache_stale_max_ms",
                "cache_age_ms where it is more than twice the TTL, else 0",
                multiprocess_mode="livemax",
                registry=self.registry,
            ),
            "age_ms": Gauge(
                "cache_age_ms",
                "Age of the oldest entry that is used, older than the TTL and not refreshed; 0 where there is none",
                multiprocess_mode="livemax",
                registry=self.registry,
            ),
        }
        self._cached: dict[str, int] = {}
        self._tenants: set[str] = set()
        self._ops_at = _Children(_adding(self._ops))
        self._latency_at = _Children(_observing(self._latency, LATENCY_BUCKETS))
        self._batch_at = _Children(_observing(self._batch, BATCH_BUCKETS))
        self._reject_at = _Children(_adding(self._reject))
        self._rejected_at = _Children(_adding(self._rejected))

    def done(self, op: str, alg: str, result: str, count: int = 1) -> None:
        """``count`` operations ended alike; ``result`` is ``ok``, an error code or why a signature does not hold."""
        self._ops_at[op, alg, result](count)

    def answered(self, op: str, alg: str, seconds: float) -> None:
        """A request got its answer after this long."""
        self._latency_at[op, alg](seconds)

    def inflight(self, op: str) -> Tell:
        """Counts one operation up and down, to be kept by who does."""
        return _adding(self._inflight)(op)

    def depth(self, small: int, large: int) -> None:
        """So many jobs wait in the engine."""
        self._depth_small.set(small)
        self._depth_large.set(large)

    def attest(self, result: str) -> None:
        """A request to sign asked for evidence; ``missing`` where there was none and it was refused for that."""
        self._attest.labels(result).inc()

    def attested(self, ready: bool) -> None:
        """Whether keys have the evidence that signing needs."""
        self._attestation_ready.set(ready)

    def audit_depth(self, appends: int) -> None:
        """So many appends wait for the audit log."""
        self._depth_audit.set(appends)

    def batch(self, op: str, items: int) -> None:
        """A batch of this many items was decoded."""
        self._batch_at[(op,)](items)

    def reject(self, reason: str, count: int = 1) -> None:
        """Signatures found invalid, operations refused by policy or by a limit (``bad_signature``, ``max_wait``...)."""
        self._reject_at[(reason,)](count)

    def scheduled(self, job: str, result: str, count: int = 1) -> None:
        """So many keys' turns in a job ended alike; ``result`` is ``ok``, ``not_due`` or an error code."""
        self._scheduled.labels(job, result).inc(count)

    def refused(self, code: str) -> None:
        """A request was refused before any work was done for it."""
        self._rejected_at[(code,)](1)

    def policy(self, tenant: str, phase: int, percent: int) -> None:
        """A tenant's policy is this; tenants beyond the cap are not shown."""
        if tenant not in self._tenants:
            if len(self._tenants) >= TENANTS_SHOWN:
                return
            self._tenants.add(tenant)
        self._pq_mode.labels(tenant).set(phase)
        self._pq_rollout.labels(tenant).set(percent)

    def rolled_back(self) -> None:
        """A tenant's policy was taken back."""
        self._pq_rollbacks.inc()

    def cache(self, counts: CacheCounts) -> None:
        """The cache of keys stands so; its counts only ever grow."""
        for name, counter in self._cache_counters.items():
            count = getattr(counts, name)
            counter.inc(count - self._cached.get(name, 0))
            self._cached[name] = count
        for name, gauge in self._cache_gauges.items():
            gauge.set(getattr(counts, name))
