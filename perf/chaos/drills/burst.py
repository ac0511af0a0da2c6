"""Ten times as many requests as the service is used to, more than it can do."""

from __future__ import annotations

import time

import psutil

from perf.chaos.clients import Load, Probe, answered, failed, p99
from perf.chaos.drill import Drill, Trial, said, until
from perf.load.generator import Stream
from perf.load.scenarios import sign_requests
from perf.load.seen import percentile
from perf.load.service import Watch

SHARE = 0.3
"""Of what it can do: the usual load, of which a burst is ten times as much."""
TIMES = 10
CAP = 64
"""Signs that may be in flight; four times as many are sent at once."""
CROWD = 8
FLOOR = 3
"""Of them a tenant is sure of: KMS_TENANT_SHARE_MIN is 5 %."""
LATENCY_MS = 2000.0
GROWTH = 64 << 20
NEIGHBOUR = 20.0


def _run(trial: Trial) -> None:
    with trial.serving(1, max_inflight_sign=str(CAP)) as service:
        probe = Probe(service)
        requests = sign_requests(service, service.tenant("a"), "ed25519")
        others = sign_requests(service, service.tenant("b"), "ed25519")
        with Load(service.address, [Stream("all", requests, None, 8, 8)]) as load:
            time.sleep(1.0)
            can = load.end().seen["all"].answered / load.now
        usual = can * SHARE
        before = psutil.Process(service.workers()[0]).memory_info().rss
        refused = _refusals(probe)
        streams = [
            Stream("burst", requests, usual * TIMES, CROWD, 4 * CAP // CROWD, drops=True),
            Stream("neighbour", others, NEIGHBOUR, 1, FLOOR),
        ]
        with Watch(service) as watch:
            with Load(service.address, streams) as load:
                time.sleep(trial.seconds)
                seen = load.end().seen
            refused = _refusals(probe) - refused
            with Load(service.address, [Stream("all", requests, usual / 2, 8, 32)]) as load:
                time.sleep(max(trial.seconds / 4, 0.5))
                after = load.end().seen["all"]
        burst, neighbour = seen["burst"], seen["neighbour"]
        shed = failed(burst)
        offered = sum(burst.statuses.values()) + burst.unsent
        figures = f"{offered / trial.seconds:,.0f} a second offered, {burst.answered / trial.seconds:,.0f} answered"
        trial.check("serves", burst.answered / trial.seconds > can / 10, f"{figures}; alone it does {can:,.0f}")
        only = set(burst.statuses) <= {200, 429}
        early = f"{shed} refused, {refused:.0f} of them before their body; {burst.unsent} found no connection free"
        trial.check("shed", only and refused >= 0.9 * shed, f"{early}; {answered(burst)}")
        if burst.refusals:
            trial.measure("p99", "refusals", percentile(sorted(burst.refusals), 0.99) * 1e3)
        trial.measure("p99", "burst", p99(burst))
        trial.measure("p99", "neighbour", p99(neighbour))
        trial.check("admitted", p99(burst) < LATENCY_MS, f"p99 {p99(burst):.0f} ms")
        bad = failed(neighbour)
        trial.check(
            "neighbour", not bad and neighbour.answered > 0 and p99(neighbour) < LATENCY_MS, answered(neighbour)
        )
        grown = watch.usage.worker_resident - before
        trial.check("memory", grown < GROWTH, f"{grown / 2**20:.0f} MiB, {watch.usage.worker_resident >> 20} in all")
        back = until(lambda: probe.ready()["ready"] and probe.sign().status == 200, 5.0)
        recovered = back is not None and failed(after) < 0.1 * after.answered and p99(after) < LATENCY_MS
        trial.check("recovers", recovered, f"ready {said(back)}; {answered(after)}")


def _refusals(probe: Probe) -> float:
    """Requests that were refused before any work on them."""
    return probe.metric("rejected_total")


DRILL = Drill(
    "burst",
    f"one tenant's signs, {TIMES} times {SHARE:.0%} of what a worker can do, {4 * CAP} at once where {CAP} are let in",
    {
        "serves": "the service goes on answering: at least a tenth of what it can do alone",
        "shed": "what is too much is refused with 429, before its body is looked at, and nothing else goes wrong",
        "admitted": "what is admitted is answered within 2 s (p99), its wait in the server included",
        "neighbour": f"another tenant, with the {FLOOR} at once that it is sure of, is not refused, and as fast",
        "memory": "the worker does not grow by more than 64 MiB",
        "recovers": "afterwards half the usual load, as a machine that others use may do, is answered again",
    },
    _run,
    tells=("serves", "admitted", "neighbour"),
)
