"""The opened service: everything that the use cases work with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, Self

from ron_kms.audit.gathered import Gathered
from ron_kms.audit.log import Durability
from ron_kms.audit.memory import MemoryTrail
from ron_kms.audit.registry import Trail
from ron_kms.custody.attestation import SOFTWARE, Posture, require_evidence, satisfied
from ron_kms.custody.core import Custodian
from ron_kms.engine.costs import Cost
from ron_kms.engine.queue import CryptoQueue
from ron_kms.errors import AttestationMissing
from ron_kms.keys.directory import Bounds, Directory, Wait
from ron_kms.keys.freshness import Watcher
from ron_kms.metrics import Metrics
from ron_kms.model import Kid, Policy
from ron_kms.policy.cache import Policies
from ron_kms.policy.recent import RecentCounter
from ron_kms.service.issuer import Issuer
from ron_kms.store.database import Database
from ron_kms.store.horizon import Horizon
from ron_kms.store.rows import Rows


class PolicySettings(NamedTuple):
    """The service-wide part of post-quantum policy.

    :ivar default: for tenants without a policy of their own.
    :ivar rollback_seconds: for so long after a step it may be rolled back; 0 for never.
    """

    default: Policy = Policy(1, 100)
    rollback_seconds: float = 604_800.0


POLICY = PolicySettings()


class AuditSettings(NamedTuple):
    """When an answer waits for its record.

    :ivar private: what is meant by that, for operations with a key.
    :ivar verify: whether verify waits, has its record follow, or has none.
    """

    private: Durability = "durable"
    verify: Literal["durable", "relaxed", "off"] = "relaxed"


class Kms:
    """Store, custody, directory and engine of one process.

    :param wait: how this process waits for the store's threads.
    :param costs: microseconds a suite, as :func:`ron_kms.engine.costs.measure` found them.
    :param patient: whether private operations wait for one look at the store where the last one is too old. So a
        library in a process that slept works at once; a server refuses, for its callers wait on the event loop.
    """

    def __init__(
        self,
        *,
        database: Database,
        rows: Rows,
        horizon: Horizon,
        watcher: Watcher,
        custodian: Custodian,
        queue: CryptoQueue,
        metrics: Metrics,
        wait: Wait,
        costs: dict[str, Cost],
        patient: bool,
        policy: PolicySettings,
        recent: RecentCounter,
        cache: Bounds,
        issuer: Issuer,
        audit: Trail | MemoryTrail,
        auditing: AuditSettings,
        attestation: Posture,
    ) -> None:
        self.database = database
        self.rows = rows
        self.horizon = horizon
        self.watcher = watcher
        self.custodian = custodian
        self.queue = queue
        self.metrics = metrics
        self.wait = wait
        self.costs = costs
        self.patient = patient
        self.directory = Directory(database, rows, wait, horizon, cache)
        self.policies = Policies(database, rows, wait, policy.default, _teller(metrics), ttl=cache.ttl)
        self.recent = recent
        self.issuer = issuer
        self.audit = audit
        self.auditing = auditing
        self.gathered = Gathered(audit)
        self.attestation = attestation
        self.use_policy(policy)

    def use_policy(self, policy: PolicySettings) -> None:
        """From now on these hold for the whole service."""
        self.rollback_seconds = policy.rollback_seconds
        self.policies.replace_default(policy.default)
        self.metrics.policy("*", policy.default.phase, policy.default.rollout_percent)

    def use_cache(self, bounds: Bounds) -> None:
        """From now on these hold for what is kept of keys and policies."""
        self.directory.use(bounds)
        self.policies.ttl = bounds.ttl

    def tend(self) -> bool:
        """For once or twice a second, on the event loop: look after the caches and publish their counts.

        :returns: whether they are kept up: what is due can be read, and nothing in use is older than twice the TTL.
        """
        counts = self.directory.tend()
        self.metrics.cache(counts)
        self.metrics.audit_depth(self.audit.depth)
        self.metrics.attested(self.attested)
        self.gathered.flush()
        return self.policies.tend() and counts.kept_up

    async def require_fresh(self) -> None:
        """For the beginning of private operations.

        :raises StoreUnavailable: this process may not know what others have changed.
        """
        if self.patient and not self.watcher.fresh():
            await self.wait(self.watcher.look_soon())
        self.watcher.require()

    @property
    def attested(self) -> bool:
        """Whether keys have the evidence that signing needs; none has any, for the store keeps them all."""
        return satisfied(self.attestation, SOFTWARE)

    def require_attestation(self) -> None:
        """For the beginning of signing.

        :raises AttestationMissing: it needs evidence and there is none.
        """
        try:
            require_evidence(self.attestation, SOFTWARE)
        except AttestationMissing:
            self.metrics.attest("missing")
            raise

    def changed(self, kid: Kid, n: int) -> None:
        """Tell this process at once of its own change ``n`` to a key, which the watcher would come upon later."""
        self.horizon.note(kid.uuid, n)
        self.custodian.forget((kid.uuid,))

    def close(self) -> None:
        """End running work, close log and store, and wipe every key."""
        self.watcher.close()
        self.queue.close()
        self.gathered.flush()
        self.audit.close()
        self.database.close()
        self.issuer.release()
        self.custodian.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _teller(metrics: Metrics) -> Callable[[str, Policy], None]:
    """Shows the policies of tenants that have one of their own."""

    def told(tenant: str, policy: Policy) -> None:
        if policy.revision:
            metrics.policy(tenant, policy.phase, policy.rollout_percent)

    return told
