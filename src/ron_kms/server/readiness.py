"""Whether the service is ready: the worst of its workers, and a silent worker counts as not ready."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from ron_kms.crypto.suites import SUITES
from ron_kms.server.control import Report

SILENCE_SECONDS = 2.0
REPORT_SECONDS = 0.5

NEEDED = (
    "config_loaded",
    "listener_bound",
    "store_ready",
    "store_intact",
    "backend_ready",
    "attestation_ready",
    "audit_ready",
    "rng_ok",
)
"""Without one of these nothing private can be done."""
WISHED = ("checkpoint_recent", "clock_ok", "verify_cache_ok", "pq_policy_ok")
"""Without one of these requests are served, and the operator should look: tokens expire by the clock, cached keys
that cannot be refreshed are not used for ever, and a policy that was rolled back waits to be set again."""


class WorkerState(msgspec.Struct, frozen=True):
    """One worker as ``/readyz`` shows it."""

    slot: int
    pid: int | None
    ready: bool
    silent_ms: int | None
    restarts: int
    inflight: int
    connections: int


class ConfigState(msgspec.Struct, frozen=True):
    """What ``/readyz`` tells about the settings in force."""

    reloads: int = 0
    """How often new ones were taken since the start."""
    loaded: datetime = msgspec.field(default_factory=lambda: datetime.now(UTC))
    """When those in force were read."""
    failed: bool = False
    """Whether they were read again since and refused; the log says why."""
    waiting: tuple[str, ...] = ()
    """Those that differ in their sources and need a restart."""


class Front(msgspec.Struct, frozen=True):
    """What clients of the API speak to; it does not change once the service is ready."""

    server: str
    tls: bool
    pq: bool = False
    """Whether TLS agrees on X25519MLKEM768 with clients that offer it."""


class Snapshot(msgspec.Struct, frozen=True):
    """What readiness was judged from, and which suites this machine cannot compute."""

    workers: list[WorkerState]
    config: ConfigState
    server: str
    tls: bool
    tls_pq: bool
    unavailable_suites: list[str]


class Readiness(msgspec.Struct, frozen=True):
    """The answer of ``/readyz``; ``retry_after`` is in seconds."""

    ready: bool
    missing: list[str]
    degraded: list[str]
    retry_after: int
    snapshot: Snapshot


class Heard(msgspec.Struct):
    """What was last heard of the worker in one slot."""

    slot: int
    pid: int | None = None
    report: Report | None = None
    at: float = 0.0
    restarts: int = 0

    def hear(self, report: Report) -> None:
        self.report = report
        self.at = time.monotonic()

    def forget(self) -> None:
        """The worker is gone."""
        self.pid = None
        self.report = None

    def fresh(self, now: float) -> Report | None:
        """The last report, unless the worker has been silent for too long."""
        return self.report if self.report is not None and now - self.at <= SILENCE_SECONDS else None


def judge(
    workers: Sequence[Heard], *, front: Front, stopping: bool, now: float, config: ConfigState | None = None
) -> Readiness:
    """The state of the whole service."""
    reports = [worker.fresh(now) for worker in workers]

    def bad(keys: Sequence[str]) -> list[str]:
        return [key for key in keys if not all(report is not None and report.ready.get(key) for report in reports)]

    config = config or ConfigState()
    missing = bad(NEEDED)
    if stopping and "listener_bound" not in missing:
        missing.append("listener_bound")  # the listening sockets are closed first
    states = [
        WorkerState(
            slot=worker.slot,
            pid=worker.pid,
            ready=report is not None and all(report.ready.get(key) for key in NEEDED),
            silent_ms=None if worker.report is None else int((now - worker.at) * 1000),
            restarts=worker.restarts,
            inflight=report.inflight if report else 0,
            connections=report.connections if report else 0,
        )
        for worker, report in zip(workers, reports, strict=True)
    ]
    degraded = [*(["config_loaded"] if config.failed else []), *bad(WISHED)]
    return Readiness(
        ready=not missing,
        missing=missing,
        degraded=[] if missing else degraded,
        retry_after=0 if not missing else 1,
        snapshot=Snapshot(
            states,
            config,
            front.server,
            front.tls,
            front.pq,
            [suite.name for suite in SUITES.values() if not suite.available],
        ),
    )
