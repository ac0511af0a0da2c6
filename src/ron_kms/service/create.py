"""create: a new key with its first version."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.suites import find
from ron_kms.errors import NoCapability
from ron_kms.model import Key, Kid, Use, new_uuid
from ron_kms.policy.pq import phase_of, suite_for
from ron_kms.service.audit import recorded
from ron_kms.service.change import Changed, fact_of
from ron_kms.service.kms import Kms
from ron_kms.service.once import Once
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import require_suite
from ron_kms.service.schema import (
    Answer,
    Labels,
    Name,
    OpId,
    PolicyHints,
    Request,
    SuiteName,
    TrackKey,
    track_keys,
)
from ron_kms.store.database import Connection
from ron_kms.store.keys import Saved, insert_key


class CreateRequest(Request):
    """Repeating a request with its ``op_id`` within 7 days gives the first answer again and makes no second key."""

    tenant: Name
    purpose: Name
    use: Annotated[Use, Meta(description="What the key is for, for all its life.")]
    suite: SuiteName | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
    policy_hints: PolicyHints | UnsetType = UNSET
    raw_messages: Annotated[
        bool, Meta(description="Whether the key signs messages themselves, not only digests; fixed for its life.")
    ] = False
    op_id: OpId | UnsetType = UNSET


class CreateAnswer(Answer):
    """The new version's kid and its public keys, one a track."""

    kid: str
    suite: str
    public: list[TrackKey]


async def create(kms: Kms, context: Context, request: CreateRequest) -> CreateAnswer:
    """:raises NoCapability: the caller's token does not cover tenant and purpose.
    :raises Unsupported: there is no such suite for this use.
    :raises Conflict: the ``op_id`` was used with other fields.
    """
    if not context.caller.may_create(request.tenant, request.purpose):
        raise NoCapability("this token may not make keys of this tenant and purpose")
    kid = Kid(request.tenant, request.purpose, new_uuid(), 1)
    once = Once(kms, context, "create", kid, request, request.op_id, CreateAnswer)
    earlier = await once.earlier()
    if earlier is not None:
        return earlier
    policy = await kms.policies.one(kid.tenant)
    if request.suite is UNSET:
        suite = suite_for(phase_of(policy, kid.uuid), request.use)
    else:
        suite = find(request.use, request.suite)
        require_suite(context.caller, policy, kid, suite)
    context.alg, context.kid = suite.name, kid
    kms.audit.require()
    version = await kms.queue.run(kid.tenant, kms.costs[suite.name].generate, lambda: kms.custodian.create(kid, suite))
    key = Key(
        tenant=kid.tenant,
        purpose=kid.purpose,
        uuid=kid.uuid,
        use=request.use,
        raw_messages=request.raw_messages,
        labels={} if request.labels is UNSET else request.labels,
        policy_hints={} if request.policy_hints is UNSET else request.policy_hints,
        newest=1,
        created=version.created,
    )
    answer = CreateAnswer(kid=str(kid), suite=suite.name, public=track_keys(version))

    def write(connection: Connection) -> Changed[CreateAnswer]:
        return Changed(answer, Saved(key, insert_key(connection, kms.rows, key, version)), version)

    def known(changed: Changed[CreateAnswer]) -> None:
        if changed.saved is not None:
            kms.directory.remember(key, version, changed.saved.n)

    changed = await recorded(kms, context, once.around(write), lambda made: fact_of("create", kid, made), known)
    return changed.answer


OPERATIONS = (
    Operation(
        name="create",
        method="POST",
        path="/v1/kms/keys",
        scope="kms:create",
        request=CreateRequest,
        response=CreateAnswer,
        act=create,
        help="Make a key. Its private part never leaves the service; the answer has the public one.",
        status=201,
    ),
)
