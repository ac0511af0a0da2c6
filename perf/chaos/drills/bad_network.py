"""The network between clients and service is far, uneven, loses packets, and is cut for a while."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator

from perf.chaos.clients import Load, Numbered, Probe, answered, failed, p99
from perf.chaos.drill import Drill, Trial
from perf.chaos.ledger import compare
from perf.chaos.network import SERVER, Network, network
from perf.load.generator import Seen, Stream
from perf.load.seen import percentile
from perf.load.service import Service

DELAY, JITTER, LOSS = 0.05, 0.02, 0.02
RATE = 50.0
SLACK = 0.1
"""What a busy machine may add to a median."""


def _run(trial: Trial) -> None:
    part = max(trial.seconds / 4, 1.0)
    with network() as between:
        between.server.run(lambda: _served(trial, between, part))


def _served(trial: Trial, between: Network, part: float) -> None:
    """In the service's namespace."""
    with trial.serving(1, http_addr=f"{SERVER}:0", insecure_plaintext="true") as service:
        _drill(trial, between, service, part)


def _drill(trial: Trial, between: Network, service: Service, part: float) -> None:
    probe = Probe(service)
    tenant = service.tenant("a")
    kids = service.keys(tenant, "sign", "ed25519", 4)
    every = Seen()
    parts = itertools.count()

    @contextlib.contextmanager
    def clients() -> Iterator[Load]:
        """In the other namespace."""
        signs = Numbered(service, tenant, kids, f"network-{next(parts)}")
        load = Load(service.address, [Stream("a", signs, RATE, 4, 64)])
        between.client.run(load.__enter__)
        with contextlib.closing(load):
            yield load

    def measured(seconds: float) -> Seen:
        with clients() as load:
            time.sleep(seconds)
            seen = load.end().seen["a"]
        every.latencies.update(seen.latencies)
        return seen

    near = measured(part)
    between.set(DELAY, JITTER)
    far = measured(part)
    rise = _median(far) - _median(near)
    seen = f"median {_median(near) * 1e3:.0f} to {_median(far) * 1e3:.0f} ms; {answered(far)}"
    trial.check("far", 2 * DELAY <= rise < 2 * (DELAY + JITTER) + SLACK and not failed(far), seen)
    between.set(DELAY, JITTER, LOSS)
    lossy = measured(part)
    beside = sorted(probe.sign().seconds for _ in range(20))
    trial.check("lossy", lossy.answered > 0 and not failed(lossy), answered(lossy))
    trial.check("beside", beside[-2] < 2 * DELAY + SLACK, f"the second slowest of 20 took {beside[-2] * 1e3:.0f} ms")
    between.set(DELAY)
    with clients() as load:
        time.sleep(part)
        between.set(loss=1.0)
        cut = load.now
        time.sleep(part + 1.0)
        between.set(DELAY)
        healed = load.now
        time.sleep(2 * part + 2.0)
        broken = load.end().seen["a"]
    every.latencies.update(broken.latencies)
    during = sum(cut + 0.5 < at < healed for at in broken.times)
    late = sum(at > healed for at in broken.times)
    trial.check(
        "cut", during == 0 and late > 0 and not failed(broken), f"{late} answers after {part:.1f} s; {answered(broken)}"
    )
    for name, one in (("near", near), ("far", far), ("lossy", lossy)):
        trial.measure("p50", f"sign, {name}", _median(one) * 1e3)
        trial.measure("p99", f"sign, {name}", p99(one))
    trial.check("alive", probe.ready()["ready"] and not probe.restarts(), f"{probe.restarts()} restarts")
    compare(trial, service, Numbered(service, tenant, kids, "network"), every, once="once", intact="intact")


def _median(seen: Seen) -> float:
    return percentile(sorted(value for values in seen.latencies.values() for value in values), 0.5)


DRILL = Drill(
    "network",
    f"clients are {2 * DELAY * 1e3:.0f} ms away, with jitter, {LOSS:.0%} of packets lost each way, then cut off",
    {
        "far": "answers take the way and its jitter longer (median), and nothing fails",
        "lossy": "with loss every request is answered: no stream and no connection is lost",
        "beside": "who is near meanwhile is not slowed by who is far",
        "cut": "what was under way when the network was cut is answered once it is back, on the same connections",
        "alive": "the service is ready, and no worker was replaced",
        "once": "every signature that was answered is in the audit logs exactly once",
        "intact": "ron-kms audit verify finds nothing wrong",
    },
    _run,
    tells=("far", "lossy", "cut"),
)
