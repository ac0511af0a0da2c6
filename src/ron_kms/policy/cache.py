"""The policies in force, by tenant, as this process knows them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from typing import Any

from ron_kms.errors import KmsError, ServiceError
from ron_kms.model import Policy
from ron_kms.policy.named import Named
from ron_kms.store.database import Connection, Database
from ron_kms.store.policies import load_named, load_policy
from ron_kms.store.rows import Rows

TENANTS_MAX = 4096
_PLANS_MAX = 16
"""A plan of 100,000 keys takes 2 MB."""

Found = dict[str, Policy | KmsError]


class Policies:
    """Finds policies by tenant. Safe to use from several threads.

    :param default: for tenants without one of their own.
    :param told: is given every policy that was read.
    """

    def __init__(
        self,
        database: Database,
        rows: Rows,
        wait: Callable[[Future[Any]], Awaitable[Any]],
        default: Policy,
        told: Callable[[str, Policy], None],
        bound: int = TENANTS_MAX,
    ) -> None:
        self.default = default
        self._database = database
        self._rows = rows
        self._wait = wait
        self._told = told
        self._bound = bound
        self._known: OrderedDict[str, Policy] = OrderedDict()
        self._plans: OrderedDict[tuple[str, int], Named] = OrderedDict()
        self._changes = 0
        self._lock = threading.Lock()

    async def find(self, tenants: Iterable[str]) -> Found:
        """The policy of each; an error stands for its tenant alone."""
        found: Found = {}
        missing: list[str] = []
        with self._lock:
            before = self._changes
            for tenant in dict.fromkeys(tenants):
                policy = self._known.get(tenant)
                if policy is None:
                    missing.append(tenant)
                else:
                    self._known.move_to_end(tenant)
                    found[tenant] = policy
        if missing:
            try:
                read: Found = await self._wait(self._database.read(lambda connection: self._read(connection, missing)))
            except ServiceError as error:
                read = dict.fromkeys(missing, error)
            found.update(read)
            self._keep(read, before)
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

    def forget(self, tenants: Iterable[str]) -> None:
        """These were changed: they are read again when next asked for."""
        with self._lock:
            self._changes += 1
            for tenant in tenants:
                self._known.pop(tenant, None)

    def replace_default(self, default: Policy) -> None:
        """From now on this holds for tenants without a policy of their own."""
        with self._lock:
            self.default = default
            self._changes += 1
            self._known.clear()

    def _read(self, connection: Connection, tenants: list[str]) -> Found:
        found: Found = {}
        for tenant in tenants:
            try:
                found[tenant] = load_policy(connection, self._rows, tenant) or self.default
            except KmsError as error:
                found[tenant] = error
        return found

    def _keep(self, read: Found, before: int) -> None:
        good = {tenant: policy for tenant, policy in read.items() if isinstance(policy, Policy)}
        for tenant, policy in good.items():
            self._told(tenant, policy)
        with self._lock:
            if self._changes != before:
                return  # what was read may be older than a change that came meanwhile
            self._known.update(good)
            while len(self._known) > self._bound:
                self._known.popitem(last=False)
