"""The policies in force, by tenant, as this process knows them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable
from concurrent.futures import Future
from typing import Any

import msgspec

from ron_kms.errors import KmsError
from ron_kms.model import Policy
from ron_kms.policy.named import Named
from ron_kms.store.database import Connection, Database
from ron_kms.store.flights import Flights
from ron_kms.store.policies import load_named, load_policy
from ron_kms.store.refresh import Refresher, boottime
from ron_kms.store.rows import Rows

TENANTS_MAX = 16_384
"""At 250 bytes each."""

TTL = 300.0
_PLANS_MAX = 16
"""A plan of 100,000 keys takes 2 MB."""

Found = dict[str, Policy | KmsError]


class _Known(msgspec.Struct, eq=False, gc=False):
    policy: Policy
    read_at: float


class Policies:
    """Finds policies by tenant. Safe to use from several threads.

    One that is older than the TTL when it is used is read anew in the background and given meanwhile. While the store
    is away it is given for as long as there are keys that can be used: what verifies has an age of its own, and needs
    its policy until then.

    :param default: for tenants without one of their own.
    :param told: is given every policy that was missed and read, on the caller's thread.
    :param ttl: in seconds.
    """

    def __init__(
        self,
        database: Database,
        rows: Rows,
        wait: Callable[[Future[Any]], Awaitable[Any]],
        default: Policy,
        told: Callable[[str, Policy], None],
        bound: int = TENANTS_MAX,
        ttl: float = TTL,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self.default = default
        self._database = database
        self._rows = rows
        self._wait = wait
        self._told = told
        self._bound = bound
        self.ttl = ttl
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._plans: OrderedDict[tuple[str, int], Named] = OrderedDict()
        self._changes = 0
        self._lock = threading.Lock()
        self._flights: Flights[str, Policy] = Flights(database, self._read, lambda: self._changes)
        self._refresher: Refresher[str] = Refresher(database, self._renew, "cached policies", clock)

    def cached(self, tenant: str) -> Policy | None:
        """The policy if it is known already."""
        known = self._known.get(tenant)
        if known is None:
            return None
        if self._clock() - known.read_at > self.ttl:
            self._refresher.want(tenant, known.read_at)
        try:  # noqa: SIM105 - it costs more than all the rest
            self._known.move_to_end(tenant)
        except KeyError:
            pass  # it was changed meanwhile
        return known.policy

    async def find(self, tenants: Iterable[str]) -> Found:
        """The policy of each; an error stands for its tenant alone."""
        found: Found = {}
        missing: list[str] = []
        for tenant in dict.fromkeys(tenants):
            policy = self.cached(tenant)
            if policy is None:
                missing.append(tenant)
            else:
                found[tenant] = policy
        if missing:
            read: Found = await self._wait(self._flights.read(missing))
            found.update(read)
            for tenant, result in read.items():
                if isinstance(result, Policy):
                    self._told(tenant, result)
        return found

    async def one(self, tenant: str) -> Policy:
        """:raises KmsError: it cannot be read."""
        policy = (await self.find((tenant,)))[tenant]
        if isinstance(policy, KmsError):
            raise policy
        return policy

    async def named(self, tenant: str, revision: int) -> Named:
        """What the plan behind this revision of a tenant's policy has named.

        :raises KmsError: it cannot be read.
        """
        with self._lock:
            plan = self._plans.get((tenant, revision))
        if plan is None:
            plan = Named(
                await self._wait(
                    self._database.read(lambda connection: load_named(connection, self._rows, tenant, revision))
                )
            )
            with self._lock:
                self._plans[tenant, revision] = plan
                while len(self._plans) > _PLANS_MAX:
                    self._plans.popitem(last=False)
        return plan

    def forget(self, tenants: Collection[str] | None) -> None:
        """These were changed, or any may have been: they are read again when next asked for."""
        with self._lock:
            self._changes += 1
            for tenant in list(self._known) if tenants is None else tenants:
                self._known.pop(tenant, None)
                self._refresher.drop(tenant)

    def replace_default(self, default: Policy) -> None:
        """From now on this holds for tenants without a policy of their own."""
        with self._lock:
            self.default = default
            self._changes += 1
            self._known.clear()

    def tend(self) -> bool:
        """For once or twice a second: go on with what is to be refreshed; whether that works."""
        self._refresher.drive()
        return not self._refresher.failing

    def _read(self, connection: Connection, tenants: list[str]) -> Found:
        before = self._changes
        now = self._clock()
        found = self._load(connection, tenants)
        with self._lock:
            if self._changes == before:  # otherwise what was read may be older than a change that came meanwhile
                for tenant, policy in found.items():
                    if isinstance(policy, Policy):
                        self._known[tenant] = _Known(policy, now)
                while len(self._known) > self._bound:
                    tenant, _ = self._known.popitem(last=False)
                    self._refresher.drop(tenant)
        return found

    def _renew(self, connection: Connection, tenants: list[str]) -> None:
        """Read policies anew; those that were edited are not used any more."""
        before = self._changes
        now = self._clock()
        found = self._load(connection, tenants)
        with self._lock:
            if self._changes == before:
                for tenant, policy in found.items():
                    known = self._known.get(tenant)
                    if known is None:
                        continue
                    if isinstance(policy, Policy):
                        known.policy, known.read_at = policy, now
                    else:
                        del self._known[tenant]

    def _load(self, connection: Connection, tenants: list[str]) -> Found:
        found: Found = {}
        for tenant in tenants:
            try:
                found[tenant] = load_policy(connection, self._rows, tenant) or self.default
            except KmsError as error:
                found[tenant] = error
        return found
