"""Allocations fail, as under ``ulimit -v`` or without overcommit: nothing is killed, and code meets MemoryError."""

from __future__ import annotations

import resource
import time

import psutil

from perf.chaos.clients import Load, Numbered, Probe, answered
from perf.chaos.drill import Drill, Trial, said, until
from perf.chaos.ledger import compare
from perf.load.generator import Stream
from tests.hardening.beside import Seen
from tests.hardening.content import bodies_in_flight
from tests.hardening.target import Target

ROOM = 8 << 20
RATE = 100.0
RECOVERY_SECONDS = 20.0


def _run(trial: Trial) -> None:
    with trial.serving(1) as service:
        probe = Probe(service)
        tenant, attacker = service.tenant("a"), service.tenant("attacker")
        signs = Numbered(service, tenant, service.keys(tenant, "sign", "ed25519", 4), "allocations")
        target = Target(service.address[1], attacker.token, "", Seen(), patience=2.0)
        with Load(service.address, [Stream("a", signs, RATE, 4, 32)]) as load:
            time.sleep(0.5)
            limited, end = 0, time.monotonic() + trial.seconds
            while not limited or time.monotonic() < end:
                limited += _limit(service.workers()[0])
                bodies_in_flight(target)
            calm = load.now
            back = until(lambda: probe.ready()["ready"] and probe.sign().status == 200, RECOVERY_SECONDS)
            time.sleep(1.0)
            seen = load.end().seen["a"]
        late = sum(at > calm for at in seen.times)
        figures = f"{said(back)}; {probe.restarts()} replaced, {late} answers afterwards; {answered(seen)}"
        trial.check("recovers", back is not None and late > 0, figures)
        compare(trial, service, signs, seen, once="once", intact="intact")


def _limit(worker: int | None) -> bool:
    """Leave a worker hardly more addresses than it has; False where it is gone."""
    if worker is None:  # and prlimit would mean this process
        return False
    try:
        most: int = psutil.Process(worker).memory_info().vms + ROOM
        resource.prlimit(worker, resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))
    except (psutil.NoSuchProcess, ProcessLookupError):
        return False
    return True


DRILL = Drill(
    "allocations",
    f"a worker gets {ROOM >> 20} MiB of addresses more than it has, and clients send bodies of many times that",
    {
        "recovers": f"it goes on, or ends and is replaced: within {RECOVERY_SECONDS:.0f} s signs are answered again",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("recovers", "once"),
)
