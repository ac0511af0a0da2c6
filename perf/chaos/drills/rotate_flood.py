"""Ten times as many rotations as usual, as when all keys move to another suite."""

from __future__ import annotations

import time
from collections import Counter

from perf.chaos.clients import Load, Probe, answered, failed, p99, steady
from perf.chaos.drill import Drill, Trial
from perf.chaos.ledger import records, stop, verify
from perf.load.generator import Stream
from perf.load.scenarios import rotate_requests

USUAL = 2.0
TIMES = 10
LATENCY_MS = 1000.0


def _run(trial: Trial) -> None:
    with trial.serving(2) as service:
        probe = Probe(service)
        rotates = rotate_requests(service, service.tenant("r"), "ed25519")
        streams = steady(service)
        with Load(service.address, [*streams, Stream("rotate", rotates, USUAL, 2, 32)]) as load:
            time.sleep(trial.seconds / 3)
            calm = load.end().seen
        with Load(service.address, [*streams, Stream("rotate", rotates, USUAL * TIMES, 2, 32)]) as load:
            time.sleep(trial.seconds)
            flood = load.end().seen
        rotated = calm["rotate"].answered + flood["rotate"].answered
        bad = failed(flood["rotate"], 409, 429)
        trial.check("rotates", rotated > 0 and not bad, answered(flood["rotate"]))
        for name in ("sign", "verify"):
            one = flood[name]
            trial.check("served", one.answered > 0 and not failed(one), f"{name}: {answered(one)}")
            trial.check("latency", p99(one) < LATENCY_MS, f"{name}: p99 {p99(calm[name]):.0f}, then {p99(one):.0f} ms")
            trial.measure("p99", f"{name}, calm", p99(calm[name]))
            trial.measure("p99", f"{name}, flood", p99(one))
        misses = probe.metric("verify_cache_miss_total")
        trial.check("ready", probe.ready()["ready"] and not probe.restarts(), f"{misses:.0f} cache misses in all")
        stop(service)
        done = [record for record in records(service, "rotate") if record["result"] == "ok"]
        twice = sum(count > 1 for count in Counter(record["kid"] for record in done).values())
        figures = f"{rotated} answered, {len(done)} recorded, {twice} versions twice"
        trial.check("recorded", len(done) == rotated and not twice, figures)
        trial.check("intact", *verify(service))


DRILL = Drill(
    "rotate-flood",
    f"keys are rotated {TIMES} times as often as usual ({USUAL * TIMES:.0f} a second) while others are used",
    {
        "rotates": "rotations are made, or refused with 409 (two of one key at once) or 429",
        "served": "signs and verifications of other keys go on without an error",
        "latency": "and within a second (p99)",
        "ready": "the service stays ready, and no worker is replaced",
        "recorded": "every rotation that was answered is in the audit logs exactly once, and there are no others",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("latency",),
)
