"""policy: a tenant's post-quantum policy, read and set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.signing import Mode
from ron_kms.crypto.suites import SUITES
from ron_kms.errors import BadRequest, NoCapability, PreconditionFailed, StoreUnavailable
from ron_kms.model import PHASE_MAX, Kid, Policy
from ron_kms.policy.named import Named
from ron_kms.policy.pq import AND, MODES
from ron_kms.service.audit import Fact, recorded
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, Name, Request
from ron_kms.store import changes
from ron_kms.store.database import Connection
from ron_kms.store.policies import load_policy, save_policy
from ron_kms.store.standing import Standing, standing, standings

PAGE = 1000
"""Keys read in one go, so that a tenant of many keeps no reader for long."""

CLASSICAL = frozenset(suite.name for suite in SUITES.values() if suite.use == "sign" and not suite.post_quantum)
"""Suites whose signatures phase 2 refuses."""

Phase = Annotated[
    int,
    Meta(
        ge=0,
        le=PHASE_MAX,
        description="0: classical. 1: hybrid, any valid track is accepted. 2: hybrid, every track must be valid, the"
        " post-quantum one among them. 3: post-quantum only.",
        examples=[1],
    ),
]
Percent = Annotated[
    int,
    Meta(
        ge=0,
        le=100,
        description="Share of the tenant's keys that the phase holds for; the others follow the phase before.",
        examples=[100],
    ),
]


class GetPolicyRequest(Request):
    """The tenant."""

    tenant: Name


class PutPolicyRequest(Request):
    """Sets phase and share. It is a step of its own, also where they stay as they are: what a plan would name now is
    stored with it, and the time in which it may be rolled back begins."""

    tenant: Name
    phase: Phase
    rollout_percent: Percent = 100


class PolicyAnswer(Answer):
    """The policy in force.

    ``source`` says whether it is the tenant's own or the service-wide default. ``rolled_back`` is there where the
    service itself took it back to phase 1 because the step to phase 2 refused a valid signature, by the version
    ``rolled_back_by``, that its plan had not named; it stays until the policy is set again.
    """

    tenant: str
    phase: int
    mode: Mode
    rollout_percent: int
    source: Literal["tenant", "default"]
    etag: str
    stepped: datetime | UnsetType = UNSET
    rolled_back: datetime | UnsetType = UNSET
    rolled_back_by: str | UnsetType = UNSET


async def get_policy(kms: Kms, context: Context, request: GetPolicyRequest) -> PolicyAnswer:
    """:raises NoCapability: the caller's token does not cover the whole tenant."""
    require_tenant(context, request.tenant)
    policy: Policy = await kms.wait(kms.database.read(lambda connection: current(kms, connection, request.tenant)))
    return answer(request.tenant, policy)


async def put_policy(kms: Kms, context: Context, request: PutPolicyRequest) -> PolicyAnswer:
    """:raises NoCapability: the caller's token does not cover the whole tenant.
    :raises BadRequest: no ``If-Match`` was sent.
    :raises PreconditionFailed: the policy is not as the caller has read it.
    """
    tenant = request.tenant
    require_tenant(context, tenant)
    if context.if_match is None:
        raise BadRequest("this call needs If-Match", hint="Send the ETag that reading the policy has answered.")
    last, n = await _classical(kms, tenant) if request.phase == AND else ({}, None)

    def write(connection: Connection) -> Policy:
        before = current(kms, connection, tenant)
        if context.if_match not in ("*", _etag(before)):
            raise PreconditionFailed("the policy was changed since it was read")
        if n is not None:
            _catch_up(kms, connection, tenant, last, n)
        policy = Policy(
            phase=request.phase,
            rollout_percent=request.rollout_percent,
            revision=before.revision,
            stepped=datetime.now(UTC),
        )
        return save_policy(connection, kms.rows, tenant, policy, Named.pack(last))

    try:
        policy = await recorded(kms, context, write, lambda after: fact_of_policy("put-policy", tenant, after))
    finally:
        kms.policies.forget((tenant,))
    kms.metrics.policy(tenant, policy.phase, policy.rollout_percent)
    return answer(tenant, policy)


def fact_of_policy(operation: str, tenant: str, policy: Policy, kid: Kid | None = None) -> Fact:
    """What a change to a policy is recorded as."""
    return Fact(operation, tenant, kid, reason=f"phase {policy.phase}, {policy.rollout_percent} percent")


def require_tenant(context: Context, tenant: str) -> None:
    """:raises NoCapability: the caller's token does not cover the whole tenant."""
    if not context.caller.may_govern(tenant):
        raise NoCapability("this token does not cover the whole tenant")


def current(kms: Kms, connection: Connection, tenant: str) -> Policy:
    """The policy in force, as the store has it."""
    return load_policy(connection, kms.rows, tenant) or kms.policies.default


def answer(tenant: str, policy: Policy) -> PolicyAnswer:
    """A policy as the wire shows it."""
    return PolicyAnswer(
        tenant=tenant,
        phase=policy.phase,
        mode=MODES[policy.phase],
        rollout_percent=policy.rollout_percent,
        source="tenant" if policy.revision else "default",
        etag=_etag(policy),
        stepped=policy.stepped or UNSET,
        rolled_back=policy.rolled_back or UNSET,
        rolled_back_by=policy.rolled_back_by or UNSET,
    )


async def keys_of(kms: Kms, tenant: str, after: Kid | None = None) -> AsyncIterator[Standing]:
    """The tenant's keys, read page by page."""
    last = after

    def read(connection: Connection) -> list[Standing]:
        return standings(connection, kms.rows, tenant, CLASSICAL, last, PAGE)

    while True:
        page: list[Standing] = await kms.wait(kms.database.read(read))
        for found in page:
            yield found
        if len(page) < PAGE:
            return
        last = page[-1].kid


def _etag(policy: Policy) -> str:
    """The default has no revision, and changes with the settings."""
    return str(policy.revision) if policy.revision else f"0-{policy.phase}-{policy.rollout_percent}"


async def _classical(kms: Kms, tenant: str) -> tuple[dict[str, int], int]:
    """The last classical version by key, and the count of changes before the first of them was read."""
    n: int = await kms.wait(kms.database.read(lambda connection: changes.latest(connection, kms.rows)))
    return {found.kid.uuid: found.among[-1] async for found in keys_of(kms, tenant) if found.among}, n


def _catch_up(kms: Kms, connection: Connection, tenant: str, last: dict[str, int], n: int) -> None:
    """Bring what was read page by page to the state that the writing transaction sees."""
    while page := changes.since(connection, kms.rows, n, PAGE):
        if page[0].kind == changes.PRUNED:
            raise StoreUnavailable("too much was changed while the tenant's keys were read", retry_after=1)
        n = page[-1].n
        kids = {Kid.parse(change.id) for change in page if change.kind == "key"}
        for kid in kids:
            found = standing(connection, kms.rows, kid, CLASSICAL) if kid.tenant == tenant else None
            if found is not None and found.among:
                last[kid.uuid] = found.among[-1]


OPERATIONS = (
    Operation(
        name="get-policy",
        method="GET",
        path="/v1/kms/policy/{tenant}",
        scope="kms:policy",
        request=GetPolicyRequest,
        response=PolicyAnswer,
        act=get_policy,
        help="The tenant's post-quantum policy.",
    ),
    Operation(
        name="put-policy",
        method="PUT",
        path="/v1/kms/policy/{tenant}",
        scope="kms:policy",
        request=PutPolicyRequest,
        response=PolicyAnswer,
        act=put_policy,
        help="Set the tenant's post-quantum policy. Every worker follows it within a second.",
        if_match=True,
    ),
)
