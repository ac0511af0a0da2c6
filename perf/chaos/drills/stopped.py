"""A worker stands still for a while, as a paused machine does, and goes on."""

from __future__ import annotations

import os
import signal
import time

from perf.chaos.clients import Load, Numbered, Probe, answered
from perf.chaos.drill import Drill, Trial, said, until
from perf.chaos.ledger import compare
from perf.load.generator import Stream

RATE = 100.0
NOTICED_SECONDS = 5.0
RESUME_SECONDS = 15.0


def _run(trial: Trial) -> None:
    with trial.serving(2) as service:
        probe = Probe(service)
        tenant = service.tenant("a")
        kids = service.keys(tenant, "sign", "ed25519", 4)
        signs = Numbered(service, tenant, kids, "stopped")
        stand = max(trial.seconds - 2, 1.0)
        with Load(service.address, [Stream("a", signs, RATE, 8, 32)]) as load:
            time.sleep(0.5)
            victim = service.workers()[0]
            os.kill(victim, signal.SIGSTOP)
            stopped = load.now
            try:
                noticed = until(lambda: not probe.ready()["ready"], NOTICED_SECONDS)
                time.sleep(max(0.0, stand - (noticed or 0.0)))
            finally:
                goes_on = load.now
                os.kill(victim, signal.SIGCONT)
            ready = until(lambda: probe.ready()["ready"], RESUME_SECONDS)
            again = load.now
            time.sleep(1.0)
            seen = load.end().seen["a"]
        trial.check("noticed", noticed is not None, f"{said(noticed)} of {goes_on - stopped:.1f} s")
        during = sum(stopped < at < goes_on for at in seen.times)
        trial.check("beside", during > 0, f"{during} answers meanwhile")
        late = sum(at > again for at in seen.times)
        trial.check("resumes", ready is not None and late > 0, f"ready {said(ready)}, {late} answers afterwards")
        trial.check("same", victim in service.workers(), f"pid {victim}, {probe.restarts()} restarts")
        bad = sum(count for status, count in seen.statuses.items() if not 200 <= status < 300 and status != 503)
        trial.check("nobody-lost", bad == 0, answered(seen))
        compare(trial, service, signs, seen, once="once", intact="intact")


DRILL = Drill(
    "stopped",
    "one of two workers gets SIGSTOP while signs come, and SIGCONT later",
    {
        "noticed": f"within {NOTICED_SECONDS:.0f} s /readyz says that the service is not ready",
        "beside": "the other worker goes on answering",
        "resumes": "afterwards the service is ready again, and answers",
        "same": "the worker that stood still goes on and was not replaced",
        "nobody-lost": "whoever waited is answered, or told to come again (503): no connection is lost",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("noticed", "nobody-lost"),
)
