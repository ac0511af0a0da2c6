"""The store is away for longer than anything cached may be used, then only locked."""

from __future__ import annotations

import sqlite3
import time

from perf.chaos.clients import Load, Probe, answered, failed, steady
from perf.chaos.drill import Drill, Trial, said, until
from perf.load.service import Service

FRESHNESS = 1.0
TTL = 3.0
SLACK = 2.0
"""What a busy machine may add."""


def _run(trial: Trial) -> None:
    times = {"freshness_ms": str(int(FRESHNESS * 1000)), "verify_cache_ttl_ms": str(int(TTL * 1000))}
    with trial.serving(1, **times) as service:
        probe = Probe(service)
        store, elsewhere = service.data_dir / "ron-kms.db", service.data_dir / "elsewhere.db"
        workers = service.workers()
        with Load(service.address, steady(service)) as load:
            time.sleep(TTL)  # what is used is kept
            gone = load.now
            store.rename(elsewhere)
            stops = until(lambda: probe.sign().error == "StoreUnavailable", FRESHNESS + SLACK)
            told = until(lambda: "store_ready" in probe.ready()["missing"], FRESHNESS + SLACK)
            ends = until(lambda: probe.verify().status == 503, 2 * TTL + SLACK)
            lasted = None if ends is None else load.now - gone
            elsewhere.rename(store)
            back = until(lambda: probe.sign().status == probe.verify().status == 200, 10.0)
            ready = until(lambda: probe.ready()["ready"], 10.0)
            seen = load.end().seen
        signed = [at for at in seen["sign"].times if gone + FRESHNESS + SLACK < at < gone + (lasted or 0.0)]
        trial.check("stops", stops is not None and not signed, f"refused {said(stops)}; {len(signed)} signed later")
        verified = [at - gone for at in seen["verify"].times if gone < at < gone + (lasted or 0.0)]
        trial.check("verify", any(at > TTL / 2 for at in verified), f"{len(verified)} while it was away")
        within = lasted is not None and TTL - SLACK < lasted < 2 * TTL + SLACK
        trial.check("bounded", within, f"verify refused {said(lasted)}; the TTL is {TTL:.0f} s")
        trial.check("told", told is not None, f"store_ready is missing {said(told)}")
        trial.check("resumes", back is not None and ready is not None, f"signs and verifies {said(back)}")
        _locked(trial, service, probe)
        trial.check("same", service.workers() == workers, f"{probe.restarts()} restarts")


def _locked(trial: Trial, service: Service, probe: Probe) -> None:
    """Another process holds the store's write lock, which it may while it works on it."""
    new = {"tenant": "probe", "purpose": "load", "use": "sign", "suite": "ed25519"}
    with Load(service.address, steady(service)) as load:
        other = sqlite3.connect(service.data_dir / "ron-kms.db", isolation_level=None)
        try:
            until(lambda: _begun(other), 5.0)
            made = probe.ask("keys", new)
            time.sleep(max(0.0, trial.seconds - load.now))
        finally:
            other.close()
        again = until(lambda: probe.ask("keys", new).status in {200, 201}, 10.0)
        seen = load.end().seen
    trial.check("refused", made.error == "StoreUnavailable", f"{made.status} {made.error} after {made.seconds:.1f} s")
    trial.check("refused", again is not None, f"afterwards made {said(again)}")
    bad = sum(map(failed, seen.values()))
    trial.check("locked", not bad, "; ".join(f"{name}: {answered(one)}" for name, one in seen.items()))


def _begun(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return False
    return True


DRILL = Drill(
    "store-gone",
    "the store's file is moved away for longer than the caches last, put back, and then locked by another process",
    {
        "stops": f"away: signs are refused once the store was not seen for {FRESHNESS:.0f} s, and stay refused",
        "told": "/readyz says that store_ready is missing",
        "verify": "verify goes on from the cache",
        "bounded": f"for about one TTL ({TTL:.0f} s) at least and two at most, by what was cached when",
        "resumes": "back: signs and verify are answered again, without a restart",
        "refused": "locked: a change is refused with StoreUnavailable, and made once the lock is free",
        "locked": "signs and verify go on without an error",
        "same": "no worker was replaced",
    },
    _run,
    tells=("stops", "bounded", "refused"),
)
