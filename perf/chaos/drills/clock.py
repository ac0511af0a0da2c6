"""The service's wall clock jumps by hours, forward and back; clocks that only go on do so."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from perf.chaos.clients import Load, Probe, answered, failed, log, steady
from perf.chaos.drill import Drill, Trial, said, until
from perf.chaos.ledger import records, stop, verify
from perf.chaos.preloaded import preloaded
from ron_kms.capabilities import caveats
from ron_kms.capabilities.tokens import attenuate

FORWARD = timedelta(hours=2)
BACK = timedelta(hours=-3)
PERIOD = 3600
"""Seconds after which a key rotates by itself."""
NOTICED_SECONDS = 5.0
SCHEDULED_SECONDS = 15.0


def _run(trial: Trial) -> None:
    part = max(trial.seconds / 2, 1.0)
    with preloaded("wall_clock") as clock, trial.serving(1, clock.place) as service:
        probe = Probe(service)
        [rotating] = service.keys(service.tenant("a"), "sign", "ed25519", 1)
        path = "keys/" + rotating.partition("#")[0]
        answer = service.client.patch(path, json={"rotation_period": PERIOD}, headers={"if-match": "*"})
        answer.raise_for_status()
        short = attenuate(service.admin, caveats.write(expires=datetime.now(UTC) + timedelta(hours=1)))
        asked = {"kid": probe.kid, "digest": "E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="}

        def token() -> int:
            return probe.ask("sign", asked, short).status

        def version() -> int:
            return int(service.client.get(path).json()["newest"])

        statuses, told = [token()], []
        with Load(service.address, steady(service)) as load:
            time.sleep(0.5)
            for offset in (FORWARD, BACK, timedelta(0)):
                clock.set(offset.total_seconds())
                told.append(until(lambda: "clock_ok" in probe.ready()["degraded"], NOTICED_SECONDS))
                statuses.append(token())
                if offset == FORWARD:
                    rotated = until(lambda: version() > 1, SCHEDULED_SECONDS)
                time.sleep(part)
            seen = load.end().seen
        versions = version()
        bad = sum(map(failed, seen.values()))
        trial.check("served", not bad, "; ".join(f"{name}: {answered(one)}" for name, one in seen.items()))
        trial.check("tokens", statuses == [200, 401, 200, 200], f"a token for an hour: {statuses}")
        stale = probe.metric("verify_cache_stale_total") + probe.metric("verify_cache_refresh_failed_total")
        age = probe.metric("cache_age_ms")
        trial.check("cache", not stale and age < 1000 * FORWARD.total_seconds(), f"{stale:.0f} stale, age {age:.0f} ms")
        trial.check("scheduled", rotated is not None and versions == 2, f"rotated {said(rotated)}; version {versions}")
        trial.check("told", None not in told, f"clock_ok degraded {', '.join(map(said, told))} of each jump")
        faults = [line["msg"] for line in log(service) if line["level"] in {"error", "critical"} or "trace" in line]
        figures = f"{probe.restarts()} restarts, {len(faults)} lines at error {faults[:1]}"
        trial.check("alive", not probe.restarts() and not faults and probe.ready()["ready"], figures)
        stop(service)
        times = [record["time"] for record in records(service, "sign")]
        trial.check("audited", *_spread(times))
        trial.check("intact", *verify(service))


def _spread(times: list[str]) -> tuple[bool, str]:
    """Whether records have the times that the clock told when they were made."""
    hours = [(datetime.fromisoformat(one) - datetime.now(UTC)).total_seconds() / 3600 for one in times]
    ahead, now, behind = (
        sum(one > 1.5 for one in hours),
        sum(-1 < one < 1 for one in hours),
        sum(one < -2 for one in hours),
    )
    return bool(ahead and now and behind), f"{ahead} signatures two hours ahead, {behind} three behind, {now} as it is"


DRILL = Drill(
    "clock",
    "the service's wall clock jumps two hours forward, then to three hours back, then to what it is",
    {
        "served": "signs and verifications go on without an error",
        "tokens": "a token that holds for an hour is refused while the clock says that it is over, and only then",
        "cache": "ages of what is cached, and freshness, do not go by the wall clock",
        "scheduled": "a key that rotates each hour is rotated once, and not again when the clock goes back",
        "told": f"/readyz says within {NOTICED_SECONDS:.0f} s that the clock was set (clock_ok)",
        "alive": "no worker was replaced, the log has no failure",
        "audited": "records have the times that the clock told",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("tokens", "scheduled"),
)
