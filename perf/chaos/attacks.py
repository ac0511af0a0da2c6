"""Attacks of tests/hardening, done to a service under load, one after another until the time is over."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

import psutil

from perf.chaos.clients import Load, Probe, answered, failed, log, p99, steady
from perf.chaos.drill import Trial
from perf.load.service import Watch
from tests.hardening.beside import Seen
from tests.hardening.target import Target

GROWTH = 64 << 20
LATENCY_MS = 1000.0
HOLDS = {
    "served": "whoever behaves is answered, without an error",
    "latency": "and within a second (p99)",
    "memory": "the worker does not grow by more than 64 MiB",
    "alive": "no worker died, and the service is ready",
    "quiet": "the service's log has no failure",
}
"""What holds under every attack."""


def attacked(trial: Trial, attacks: Sequence[Callable[[Target], None]], **settings: str) -> None:
    """Attack, with clients beside who behave; reports ``defended`` and :data:`HOLDS`.

    :param attacks: raise AssertionError where the service does not defend itself.
    """
    # A busy machine may stall for a second; freshness has tests of its own.
    with trial.serving(body_memory=str(32 << 20), freshness_ms="10000", **settings) as service:
        probe = Probe(service)
        port = service.address[1]
        tenant = service.tenant("attacker")
        [kid] = service.keys(tenant, "sign", "ed25519", 1)
        heard = Seen()
        target = Target(port, tenant.token, kid, heard, patience=2.0)
        workers = service.workers()
        with Watch(service) as watch, Load(service.address, steady(service)) as load:
            resident = max(psutil.Process(pid).memory_info().rss for pid in workers)
            end = time.monotonic() + trial.seconds
            for done, attack in enumerate(itertools.cycle(attacks)):
                if done >= len(attacks) and time.monotonic() > end:
                    break
                try:
                    attack(target)
                except AssertionError as error:
                    trial.check("defended", False, f"{attack.__name__}: {error}")
            trial.check("defended", True, f"{done} attacks, answered with {sorted(heard.statuses) or 'nothing'}")
            seen = load.end().seen
        for name, one in seen.items():
            trial.check("served", one.answered > 0 and not failed(one), f"{name}: {answered(one)}")
            trial.check("latency", p99(one) < LATENCY_MS, f"{name}: {p99(one):.0f} ms")
            trial.measure("p99", name, p99(one))
        grown = watch.usage.worker_resident - resident
        trial.measure("resident", "", watch.usage.worker_resident / 2**20)
        trial.check("memory", grown < GROWTH, f"{grown / 2**20:.0f} MiB, {watch.usage.worker_resident >> 20} in all")
        state = probe.ready()
        trial.check("alive", service.workers() == workers and state["ready"], f"{probe.restarts()} restarts")
        faults = [line["msg"] for line in log(service) if line["level"] in {"error", "critical"} or "trace" in line]
        trial.check("quiet", not faults, f"{len(faults)} lines at error{': ' + faults[0] if faults else ''}")
