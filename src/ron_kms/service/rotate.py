"""rotate: the next version of a key, of the same suite or of a stronger one."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import UNSET, UnsetType

from ron_kms.crypto.suites import SUITES, Suite, find
from ron_kms.errors import Conflict, PolicyRefused
from ron_kms.keys import life
from ron_kms.model import Kid, Version
from ron_kms.policy.pq import phase_of, suite_for
from ron_kms.service.change import Changed, commit, existing
from ron_kms.service.items import authorised
from ron_kms.service.kms import Kms
from ron_kms.service.once import Once
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import require_suite
from ron_kms.service.schema import Answer, KeyPath, KidText, OpId, Request, SuiteName
from ron_kms.store.database import Connection
from ron_kms.store.keys import save
from ron_kms.store.policies import load_policy


class RotateRequest(Request):
    """Where no suite is named it is that of the newest version, or a stronger one that the phase of the tenant's policy
    asks for. Repeating a request with its ``op_id`` within 7 days gives the first answer again and makes no second
    version."""

    kid: KidText
    suite: SuiteName | UnsetType = UNSET
    op_id: OpId | UnsetType = UNSET


class RotateKeyRequest(KeyPath):
    """As for ``POST rotate``."""

    suite: SuiteName | UnsetType = UNSET
    op_id: OpId | UnsetType = UNSET


class RotateAnswer(Answer):
    """The new version, and the one that was the newest before."""

    kid: str
    previous: str


class Plan(NamedTuple):
    """The version to be made."""

    kid: Kid
    suite: Suite
    previous: Kid


async def rotate(kms: Kms, context: Context, request: RotateRequest) -> RotateAnswer:
    """A kid with its version says which one the caller takes for the newest.

    :raises NotFound: there is no such key, or the caller's token does not cover it.
    :raises Conflict: another rotation was first, or the ``op_id`` was used with other fields.
    :raises KeyDisabled: the key is destroyed or going to be.
    :raises PolicyRefused: the suite would be a step back.
    """
    kid = authorised(context.caller, request.kid)
    once = Once(kms, context, "rotate", kid, request, request.op_id, RotateAnswer)
    earlier = await once.earlier()
    if earlier is not None:
        return earlier
    plan: Plan = await kms.wait(
        kms.database.read(lambda connection: plan_rotation(kms, connection, kid, request.suite))
    )
    if request.suite is not UNSET:
        require_suite(context.caller, await kms.policies.one(kid.tenant), kid, plan.suite)
    context.alg, context.kid = plan.suite.name, plan.kid
    kms.audit.require()
    version = await kms.queue.run(
        kid.tenant, kms.costs[plan.suite.name].generate, lambda: kms.custodian.create(plan.kid, plan.suite)
    )
    return await commit(
        kms, context, "rotate", kid, once.around(lambda connection: add_version(kms, connection, plan, version))
    )


async def rotate_key(kms: Kms, context: Context, request: RotateKeyRequest) -> RotateAnswer:
    """As :func:`rotate`, with the key named in the path."""
    return await rotate(kms, context, RotateRequest(kid=request.kid_text, suite=request.suite, op_id=request.op_id))


def plan_rotation(kms: Kms, connection: Connection, kid: Kid, name: str | UnsetType = UNSET) -> Plan:
    """What the next version is to be, so that it can be made before anything is written.

    :raises KmsError: the key may not rotate, or not to this suite.
    """
    key, newest = existing(kms, connection, kid.at(None))
    life.require_alive(key)
    if kid.version not in (None, key.newest):
        raise Conflict(f"version {kid.version} is not the newest of this key", hint="Read the key, then decide anew.")
    if name is UNSET:
        policy = load_policy(connection, kms.rows, kid.tenant) or kms.policies.default
        suite = suite_for(phase_of(policy, kid.uuid), key.use, SUITES[newest.suite])
    else:
        suite = find(key.use, name)
    if not SUITES[newest.suite].may_become(suite):
        raise PolicyRefused(
            f"a key of suite {newest.suite} does not rotate to {suite.name}, which would be weaker",
            hint="Leave the suite away, name one that is at least as strong, or make a new key.",
        )
    return Plan(key.kid.at(key.newest + 1), suite, key.kid.at(key.newest))


def add_version(kms: Kms, connection: Connection, plan: Plan, version: Version) -> Changed[RotateAnswer]:
    """Write the version that was planned.

    :raises Conflict: another rotation was first.
    """
    key, _ = existing(kms, connection, plan.kid.at(None))
    saved = save(connection, kms.rows, key, life.rotated(key, version), added=version)
    return Changed(RotateAnswer(kid=str(plan.kid), previous=str(plan.previous)), saved, version)


OPERATIONS = (
    Operation(
        name="rotate",
        method="POST",
        path="/v1/kms/rotate",
        scope="kms:rotate",
        request=RotateRequest,
        response=RotateAnswer,
        act=rotate,
        help="Make the next version of a key, optionally of a stronger suite. Versions before it go on verifying and"
        " opening. Of rotations that race one wins; the others are a Conflict.",
    ),
    Operation(
        name="rotate-key",
        method="POST",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}/rotate",
        scope="kms:rotate",
        request=RotateKeyRequest,
        response=RotateAnswer,
        act=rotate_key,
        help="Make the next version of the key that the path names.",
    ),
)
