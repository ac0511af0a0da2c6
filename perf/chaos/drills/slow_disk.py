"""The disk takes its time for each sync: some milliseconds for all, and once seconds."""

from __future__ import annotations

import time

from perf.chaos.clients import Load, Probe, answered, failed, p99, steady
from perf.chaos.drill import Drill, Trial
from perf.chaos.preloaded import preloaded
from perf.load.generator import Seen, Stream
from perf.load.scenarios import sign_requests
from perf.load.seen import percentile

DELAY = 0.02
STALL = 2.0
SLACK = 0.05
"""What a busy machine may add."""
UNDER_WAY = 64


def _run(trial: Trial) -> None:
    part = max(trial.seconds / 4, 0.5)
    with preloaded("slow_sync") as disk, trial.serving(1, disk.place) as service:
        probe = Probe(service)
        paced = steady(service)
        requests = sign_requests(service, service.tenant("b"), "ed25519")
        closed = [Stream("closed", requests, None, 8, UNDER_WAY // 8)]

        def measured(streams: list[Stream]) -> dict[str, Seen]:
            with Load(service.address, streams) as load:
                time.sleep(part)
                return load.end().seen

        before, fast = measured(paced), measured(closed)["closed"]
        disk.set(DELAY)
        after, slow = measured(paced), measured(closed)["closed"]
        disk.set(0.0)
        with Load(service.address, paced) as load:
            time.sleep(0.3)
            disk.set(STALL)
            time.sleep(0.2)
            disk.set(0.0)
            looks = []
            while load.now < 2 * STALL:
                looks.append(bool(probe.ready()["ready"]))
                time.sleep(STALL / 20)
            stalled = load.end().seen
        _judge(trial, before, after)
        rate, most = fast.answered / part, UNDER_WAY / (2 * DELAY)
        got, least = slow.answered / part, min(rate, most) / 2
        trial.measure("rate", "sign, each sync 20 ms longer", got)
        trial.check("batches", got > least, f"{got:,.0f} a second of {rate:,.0f}; one a sync would be {1 / DELAY:.0f}")
        trial.check("stall", p99(stalled["verify"]) < STALL * 500, f"verify: {answered(stalled['verify'])}")
        trial.check(
            "stall", max(_all(stalled["sign"])) < STALL * 3, f"sign: longest {max(_all(stalled['sign'])):.1f} s"
        )
        everyone = (*before.values(), *after.values(), *stalled.values(), fast, slow)
        bad = sum(failed(one, 429) for one in everyone)
        trial.check("errors", not bad and not probe.restarts(), f"{bad} errors, {probe.restarts()} restarts")
        trial.check("ready", all(looks), f"{len(looks)} looks, from before a sync of {STALL:.0f} s until after it")


def _judge(trial: Trial, before: dict[str, Seen], after: dict[str, Seen]) -> None:
    first, then = _all(before["sign"]), _all(after["sign"])
    rise = percentile(then, 0.5) - percentile(first, 0.5)
    seen = f"p50 of sign {percentile(first, 0.5) * 1e3:.1f} to {percentile(then, 0.5) * 1e3:.1f} ms"
    trial.check("rises", rise < 2 * DELAY + SLACK, seen)
    trial.check("none-early", then[0] >= DELAY, f"the fastest took {then[0] * 1e3:.1f} ms")
    trial.measure("p50", "sign", percentile(first, 0.5) * 1e3)
    trial.measure("p50", "sign, each sync 20 ms longer", percentile(then, 0.5) * 1e3)
    first, then = _all(before["verify"]), _all(after["verify"])
    seen = f"p50 of verify {percentile(first, 0.5) * 1e3:.1f} to {percentile(then, 0.5) * 1e3:.1f} ms"
    trial.check("verify", percentile(then, 0.5) - percentile(first, 0.5) < DELAY / 2, seen)


def _all(seen: Seen) -> list[float]:
    return sorted(value for values in seen.latencies.values() for value in values)


DRILL = Drill(
    "slow-disk",
    "each fsync and fdatasync takes 20 ms longer for a while, and those of one moment 2 s",
    {
        "rises": "the median of sign rises by less than two such syncs, but for what a busy machine adds",
        "none-early": "no signature is answered before its sync",
        "verify": "verify does not wait for the disk: its median rises by less than half a sync",
        "batches": f"with {UNDER_WAY} under way throughput holds: records share syncs",
        "stall": "a sync of 2 s delays signs, which are answered afterwards, and not verify (p99 below 1 s)",
        "errors": "nothing is refused for it but by admission (429), and no worker is replaced",
        "ready": "the service stays ready",
    },
    _run,
    tells=("rises", "verify", "batches"),
)
