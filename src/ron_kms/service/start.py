"""From an attached store to the opened service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ron_kms.audit.memory import MemoryTrail
from ron_kms.audit.registry import Node, Trail, open_session
from ron_kms.custody.attestation import Posture
from ron_kms.custody.core import Custodian
from ron_kms.engine.costs import measure
from ron_kms.engine.queue import CryptoQueue
from ron_kms.keys.directory import Bounds, Wait
from ron_kms.keys.freshness import BOUND_MS, Watcher
from ron_kms.metrics import Metrics
from ron_kms.policy.cache import Policies
from ron_kms.policy.recent import RecentCounter
from ron_kms.service.issuer import Issuer
from ron_kms.service.kms import POLICY, AuditSettings, Kms, PolicySettings
from ron_kms.store import changes
from ron_kms.store.bootstrap import Store
from ron_kms.store.changes import Change
from ron_kms.store.horizon import Horizon
from ron_kms.store.sqlite import database_path

KEY_SLOTS = 1024
AUDITING = AuditSettings()


def start(
    store: Store,
    *,
    metrics: Metrics,
    wait: Wait,
    threads: int,
    key_slots: int = KEY_SLOTS,
    freshness_ms: int = BOUND_MS,
    policy: PolicySettings = POLICY,
    recent: RecentCounter | None = None,
    cache: Bounds | None = None,
    audit: Trail | None = None,
    auditing: AuditSettings = AUDITING,
    attestation: Posture = "if-available",
) -> Kms:
    """Put the floors together for one process; the service takes the store over and closes it.

    :param threads: crypto threads, 0 where callers wait anyway.
    :param key_slots: private keys unsealed at a time.
    :param freshness_ms: how long ago the store may have been looked at for a private operation to be done.
    :param policy: for tenants without a policy of their own.
    :param recent: counts what later phases would refuse; one for this process alone by default.
    :param cache: how much is kept of keys, and for how long.
    :param audit: the log that is written to, which the service takes over, too; by default one in memory.
    :param attestation: whether keys that nothing vouches for may sign.
    :raises ConfigurationError: too little memory can be locked.
    :raises StoreUnavailable, StoreCorrupt: the store's changes cannot be looked at.
    """
    horizon = Horizon()
    custodian = Custodian(store.keys, key_slots, horizon)
    watcher = Watcher(store.database, store.rows, bound_ms=freshness_ms)
    _watch_keys(watcher, horizon, custodian, store)
    kms = Kms(
        database=store.database,
        rows=store.rows,
        horizon=horizon,
        watcher=watcher,
        custodian=custodian,
        queue=CryptoQueue(threads, metrics.depth),
        metrics=metrics,
        wait=wait,
        costs=measure(),
        patient=threads == 0,
        policy=policy,
        recent=RecentCounter() if recent is None else recent,
        cache=Bounds() if cache is None else cache,
        issuer=Issuer(store, watcher),
        audit=MemoryTrail() if audit is None else audit,
        auditing=auditing,
        attestation=attestation,
    )
    _watch_policies(watcher, kms.policies)
    watcher.on("audit-log", lambda _: kms.audit.look_beside())
    return kms


def start_session(store: Store, url: str, audit: Path | None, *, wait: Wait, key_slots: int) -> Kms:
    """As :func:`start`, for a library in a process of its own, with an audit log of its own.

    :param url: of the store.
    :param audit: the folder of all audit logs; beside the store by default.
    """
    metrics = Metrics()
    try:
        node = Node.at(database_path(url).parent / "audit" if audit is None else audit)
        trail = open_session(store, node, metrics.audit)
    except BaseException:
        store.close()
        raise
    try:
        return start(store, metrics=metrics, wait=wait, threads=0, key_slots=key_slots, audit=trail)
    except BaseException:
        trail.close()
        store.close()
        raise


def _watch_policies(watcher: Watcher, policies: Policies) -> None:
    def apply(changed: Sequence[Change]) -> None:
        policies.forget([change.id for change in changed] if changed else None)

    watcher.on("policy", apply)


def _watch_keys(watcher: Watcher, horizon: Horizon, custodian: Custodian, store: Store) -> None:
    def apply(changed: Sequence[Change]) -> None:
        if not changed:
            horizon.lose(store.database.read(lambda connection: changes.latest(connection, store.rows)).result())
            custodian.forget(None)
            return
        uuids = set()
        for change in changed:
            uuid = change.id.rpartition("/")[2]
            horizon.note(uuid, change.n)
            uuids.add(uuid)
        custodian.forget(uuids)
        horizon.catch_up(changed[-1].n)

    watcher.on("key", apply)
