"""Workers are killed under load."""

from __future__ import annotations

import os
import signal
import time

from perf.chaos.clients import Load, Numbered, Probe, answered
from perf.chaos.drill import Drill, Trial, until
from perf.chaos.ledger import compare
from perf.load.generator import Stream

RATE = 200.0
RECOVERY_SECONDS = 10.0
PAUSE_SECONDS = 1.0
"""Between two kills."""


def _run(trial: Trial) -> None:
    with trial.serving(2, freshness_ms="10000") as service:
        probe = Probe(service)
        tenant = service.tenant("a")
        signs = Numbered(service, tenant, service.keys(tenant, "sign", "ed25519", 4), "kill")
        back: list[float | None] = []
        with Load(service.address, [Stream("a", signs, RATE, 8, 16)]) as load:
            end = time.monotonic() + trial.seconds
            while time.monotonic() < end:
                restarts = probe.restarts()
                victim = service.workers()[len(back) % 2]
                os.kill(victim, signal.SIGKILL)

                def replaced(before: int = restarts) -> bool:
                    return probe.restarts() > before and bool(probe.ready()["ready"])

                back.append(until(replaced, RECOVERY_SECONDS))
                time.sleep(PAUSE_SECONDS)
            last = load.now
            time.sleep(0.5)
            seen = load.end().seen["a"]
        times = [one for one in back if one is not None]
        trial.check("recovers", len(times) == len(back), f"{len(back)} kills, ready after {_range(times)}")
        trial.check("served", max(seen.times, default=0.0) > last, answered(seen))
        lost = sum(count for status, count in seen.statuses.items() if status >= 500 and status != 503)
        trial.check("clear", not lost, f"{lost} answers of 5xx but 503, {seen.statuses[0]} connections or streams lost")
        compare(trial, service, signs, seen, once="once", intact="intact")


def _range(times: list[float]) -> str:
    return f"{min(times):.1f} to {max(times):.1f} s" if times else "never"


DRILL = Drill(
    "kill",
    "one of two workers is killed with SIGKILL, again and again, while signs come",
    {
        "recovers": f"within {RECOVERY_SECONDS:.0f} s of each kill the service is ready again",
        "served": "signs are answered until the end",
        "clear": "nobody is told that the service failed; who was on a killed worker sees a lost connection",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("recovers", "once"),
)
