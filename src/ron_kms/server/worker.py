"""One worker process: root key from the control socket -> store -> service -> application -> server.

Started by the supervisor as ``python -P -m ron_kms.server.worker <control> <listener> <pid>``: two inherited
descriptors, and the supervisor's process id.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from typing import Any

import structlog
import uvloop

from ron_kms import _core
from ron_kms.api.http.app import App, create_app
from ron_kms.config import Settings, cores, tell
from ron_kms.engine.gate import Gate
from ron_kms.engine.rates import Rates
from ron_kms.errors import KmsError, StoreCorrupt
from ron_kms.keys.directory import Bounds
from ron_kms.metrics import Metrics, use_slot
from ron_kms.model import Policy
from ron_kms.policy.pq import phase_named
from ron_kms.policy.recent import RecentCounter
from ron_kms.root.handle import RootKey
from ron_kms.server import control, logs
from ron_kms.server.admission import gate_limits, rate_limits
from ron_kms.server.audit import auditing_of, open_worker_trail
from ron_kms.server.memory import Slack
from ron_kms.server.open_files import bound_open_files
from ron_kms.server.operator import versions
from ron_kms.server.readiness import REPORT_SECONDS
from ron_kms.server.reloads import Apply, Reloads, Turn
from ron_kms.server.serving import Serving, limits_of, make_server
from ron_kms.server.surrender import Surrender
from ron_kms.server.tracing import tracing_of
from ron_kms.server.usage import usage
from ron_kms.service.due import JOBS
from ron_kms.service.kms import Kms, PolicySettings
from ron_kms.service.pipeline import OPERATIONS
from ron_kms.service.schedule import Scheduler
from ron_kms.service.start import start
from ron_kms.store import changes
from ron_kms.store.bootstrap import attach
from ron_kms.store.database import Connection
from ron_kms.store.policies import rolled_back
from ron_kms.trace import trace

_PR_SET_PDEATHSIG = 1
_STORE_SECONDS = 1.0
_GRACE_SECONDS = 1.0
"""After the drain: closing connections and the store. Then the kernel ends what has not ended."""

_LEASE_SECONDS = 0.25
"""For giving the lease of scheduled work back; otherwise it ends by itself."""

_CLOSE_SECONDS = 0.25
"""For connections, when the time of the drain is over."""
_STEP_SECONDS = 2.0
_EPOCH = 1_767_225_600
"""2026-01-01: an earlier clock is wrong."""

log = structlog.get_logger("ron_kms.worker")


def main() -> None:
    """The process, from its arguments to its exit code."""
    link = socket.socket(fileno=int(sys.argv[1]))
    listener = socket.socket(fileno=int(sys.argv[2]))
    # Ctrl-C reaches the supervisor, which passes it on as SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _leave_with_the_supervisor(int(sys.argv[3]))
    try:
        frame = control.decode(link.recv(control.PACKET_BYTES))
        if not isinstance(frame, control.Start):
            raise EOFError
        code = _Worker(frame, link).run(listener)
        if frame.settings.server == "granian":
            # All that is ours was closed. Rust's threads with connections left must not meet Python's end: they panic.
            sys.stderr.flush()
            os._exit(code)
        sys.exit(code)
    except EOFError:  # the supervisor is gone
        sys.exit(1)


def _leave_with_the_supervisor(supervisor: int) -> None:
    """No worker outlives its supervisor, not even a stopped one."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != supervisor:  # it was gone before the line above
        sys.exit(1)


class _Worker:
    def __init__(self, begin: control.Start, link: socket.socket) -> None:
        self._reloads = Reloads(begin.settings)
        self._begin = begin
        self._link = link
        self._stop = asyncio.Event()
        self._hasten = asyncio.Event()
        self._clock = _Clock()

    def run(self, listener: socket.socket) -> int:
        """:returns: the exit code."""
        settings = self._begin.settings
        logs.configure(settings.log_level, worker=self._begin.slot)
        try:
            _core.harden_process(dumpable=settings.debug_dumpable)
            tracing = tracing_of(settings, self._begin.slot)
            root = RootKey.receive(self._link.fileno())
            try:
                store = tracing.store(attach(settings.store_url, root))
            finally:
                root.release()
            use_slot(self._begin.metrics, self._begin.slot)
            metrics = Metrics()
            trail = open_worker_trail(store, settings, self._begin.slot, metrics.audit)
            kms = start(
                store,
                metrics=metrics,
                wait=_wait,
                threads=max(1, cores() // settings.workers),
                key_slots=settings.key_slots,
                freshness_ms=settings.freshness_ms,
                policy=policy_of(settings),
                recent=RecentCounter(self._begin.metrics / f"{self._begin.slot}.recent"),
                cache=bounds_of(settings),
                audit=trail,
                auditing=auditing_of(settings),
                attestation=settings.attestation,  # type: ignore[arg-type] # checked there
            )
            kms.queue = tracing.queue(kms.queue)
            app = create_app(
                tracing.operations(OPERATIONS),
                kms,
                tracing.checker(kms.issuer.checker),
                gate=Gate(gate_limits(settings), kms.queue, workers=settings.workers),
                rates=Rates(rate_limits(settings), workers=settings.workers),
                metrics=metrics,
                body_seconds=settings.request_seconds,
                body_memory=settings.body_memory,
            )
            server = make_server(tracing.app(app), settings)
            self._take_reloads(kms, app, server)
        except KmsError as error:
            self._tell(control.Failed(error.message, error.hint))
            return 1
        except Exception as error:  # noqa: BLE001 - the supervisor tells it
            log.error("a worker could not start", trace=trace(error))
            self._tell(control.Failed("a worker could not start; the log has the cause"))
            return 1
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve(kms, app, server, listener))
        finally:
            kms.watcher.close()
            kms.close()
            tracing.close()
        return 0

    def _take_reloads(self, kms: Kms, app: App, server: Serving) -> None:
        """What SIGHUP may change here, and how."""

        def log_level(settings: Settings) -> Apply:
            return partial(logs.set_level, settings.log_level)

        def policy(settings: Settings) -> Apply:
            return partial(kms.use_policy, policy_of(settings))

        def limits(settings: Settings) -> Apply:
            def apply() -> None:
                server.limits = limits_of(settings)
                app.deadlines.seconds = settings.request_seconds
                bound_open_files(settings.max_connections)

            return apply

        def caps(settings: Settings) -> Apply:
            return partial(app.gate.apply, gate_limits(settings))

        def rates(settings: Settings) -> Apply:
            return partial(app.rates.apply, rate_limits(settings))

        def memory(settings: Settings) -> Apply:
            return partial(setattr, app.memory, "limit", settings.body_memory)

        def cache(settings: Settings) -> Apply:
            return partial(kms.use_cache, bounds_of(settings))

        self._reloads.on("log_level", log_level)
        self._reloads.on("verify_cache_max verify_cache_bytes verify_cache_ttl_ms", cache)
        self._reloads.on("pq_produce_hybrid pq_verify_mode pq_rollout_percent pq_rollback_window", policy)
        self._reloads.on("max_connections idle_seconds request_seconds response_seconds", limits)
        self._reloads.on(
            "max_inflight_sign max_inflight_verify max_inflight_wrap max_inflight_admin tenant_share_min max_wait_ms",
            caps,
        )
        self._reloads.on("tenant_rate max_rate", rates)
        self._reloads.on("body_memory", memory)
        self._reloads.on("", server.renewal)
        self._reloads.on("drain_seconds")
        self._reloads.complete()

    async def _serve(self, kms: Kms, app: App, server: Serving, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        surrender = Surrender(lambda: self._reloads.settings.drain_seconds + _GRACE_SECONDS)
        loop.set_exception_handler(surrender.callback_failed)
        threading.excepthook = surrender.thread_failed
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        self._link.setblocking(False)
        turn = Turn(self._reloads, self._tell, self._terminate)
        loop.add_reader(self._link, self._hear, turn)
        # What is there stays: the collector need not look at it again, which would stop the loop for 100 ms.
        gc.collect()
        gc.freeze()
        await server.start(listener)
        log.info("a worker serves", pid=os.getpid(), versions=versions(), settings=tell(self._reloads.settings))
        reporter = asyncio.create_task(self._report(kms, app, server))
        reporter.add_done_callback(surrender.task_ended)
        scheduler = asyncio.create_task(Scheduler(kms, JOBS).run())
        await self._stop.wait()
        scheduler.cancel()
        end = loop.time() + self._reloads.settings.drain_seconds
        app.traffic.drain()
        server.stop_accepting()
        drained = asyncio.create_task(app.traffic.idle(self._reloads.settings.drain_seconds))
        await asyncio.wait({drained, asyncio.create_task(self._hasten.wait())}, return_when=asyncio.FIRST_COMPLETED)
        reporter.cancel()
        await asyncio.wait({scheduler}, timeout=_LEASE_SECONDS)
        # Answers may still be on their way to clients that read slowly.
        await server.close(0.0 if self._hasten.is_set() else max(_CLOSE_SECONDS, end - loop.time()))

    def _terminate(self) -> None:
        if self._stop.is_set():
            self._hasten.set()
            return
        self._stop.set()
        # Whatever hangs from here on: SIGALRM is not handled, so the kernel ends the process.
        signal.setitimer(signal.ITIMER_REAL, self._reloads.settings.drain_seconds + _GRACE_SECONDS)

    def _hear(self, turn: Turn) -> None:
        """What the supervisor says, or that it is gone."""
        try:
            frame = control.decode(self._link.recv(control.PACKET_BYTES))
        except (BlockingIOError, InterruptedError):
            return
        except (EOFError, OSError):
            asyncio.get_running_loop().remove_reader(self._link)
            self._hasten.set()
            self._terminate()
            return
        if isinstance(frame, control.Reload | control.Decide):
            turn.hear(frame)

    async def _report(self, kms: Kms, app: App, server: Serving) -> None:
        rng, slack = _Rng(), Slack()
        while True:
            answers, policies_stand = await _look(kms)
            ready = {
                "config_loaded": True,
                "listener_bound": not self._stop.is_set(),
                "store_ready": answers and kms.watcher.fresh(),
                "store_intact": not kms.watcher.corrupt,
                "attestation_ready": kms.attested,
                "audit_ready": not kms.audit.fault,
                "checkpoint_recent": kms.audit.recent,
                "backend_ready": kms.custodian.works(),
                "rng_ok": rng.works(),
                "clock_ok": self._clock.is_sane(),
                "verify_cache_ok": kms.tend(),
                "pq_policy_ok": policies_stand,
            }
            self._tell(control.Report(ready, app.traffic.inflight, server.connections, usage()))
            await slack.give_back(kms.directory.swept)
            await asyncio.sleep(REPORT_SECONDS)

    def _tell(self, frame: control.Frame) -> None:
        # A supervisor that is stopped for minutes fills the socket: then reports are dropped.
        with contextlib.suppress(OSError):
            self._link.send(control.encode(frame))


def policy_of(settings: Settings) -> PolicySettings:
    """What the settings say about the way to post-quantum signatures."""
    phase = phase_named(produce_hybrid=settings.pq_produce_hybrid, mode=settings.pq_verify_mode)
    return PolicySettings(Policy(phase, settings.pq_rollout_percent), settings.pq_rollback_window)


def bounds_of(settings: Settings) -> Bounds:
    """One worker's part of the cache of keys."""
    return Bounds(
        entries=max(1, settings.verify_cache_max // settings.workers),
        bytes=settings.verify_cache_bytes // settings.workers,
        ttl=settings.verify_cache_ttl_ms / 1000,
    )


async def _wait(future: Future[Any]) -> Any:
    return await asyncio.wrap_future(future)


async def _look(kms: Kms) -> tuple[bool, bool]:
    """Whether the store answers, and whether no policy is rolled back; off the loop also tell the other workers what
    this one has seen."""

    def look(connection: Connection) -> bool:
        with contextlib.suppress(OSError):
            kms.recent.publish()
        changes.latest(connection, kms.rows)
        try:
            return not rolled_back(connection, kms.rows, 1)
        except StoreCorrupt:
            return False

    try:
        async with asyncio.timeout(_STORE_SECONDS):
            return True, await _wait(kms.database.read(look))
    except (KmsError, TimeoutError):
        return False, True


class _Rng:
    """The system's random source: answers at once, and never the same twice."""

    def __init__(self) -> None:
        self._last = b""

    def works(self) -> bool:
        try:
            drawn = os.getrandom(32, os.GRND_NONBLOCK)
        except OSError:
            return False
        good = len(drawn) == 32 and drawn != self._last
        self._last = drawn
        return good


class _Clock:
    """The wall clock: later than this software, and not just set by more than two seconds."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def is_sane(self) -> bool:
        offset = time.time() - time.monotonic()
        stepped = abs(offset - self._offset) > _STEP_SECONDS
        self._offset = offset
        return time.time() > _EPOCH and not stepped


if __name__ == "__main__":
    main()
