"""create: a new key with its first version."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from blake3 import blake3
from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.suites import DEFAULTS, find, names
from ron_kms.errors import NoCapability
from ron_kms.model import Key, Kid, Use, Version, new_uuid
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, Name, OpId, Request, TrackKey
from ron_kms.store.database import Connection
from ron_kms.store.keys import insert_key
from ron_kms.store.operations import OpId as Scoped
from ron_kms.store.operations import find_answer, keep_answer

LABELS_MAX = 32

Label = Annotated[str, Meta(min_length=1, max_length=63, description="1 to 63 characters.")]
LabelValue = Annotated[str, Meta(max_length=255)]
Labels = Annotated[
    dict[Label, LabelValue], Meta(max_length=LABELS_MAX, description="The caller's own notes on the key.")
]


_SUITES = "; ".join(f"to {use}: {', '.join(names(use))}; by default {suite}" for use, suite in DEFAULTS.items())
SuiteName = Annotated[str, Meta(max_length=64, description=f"What it is made of. {_SUITES}.", examples=["hybrid"])]


class CreateRequest(Request):
    """Repeating a request with its ``op_id`` within 7 days gives the first answer again and makes no second key."""

    tenant: Name
    purpose: Name
    use: Annotated[Use, Meta(description="What the key is for, for all its life.")]
    suite: SuiteName | UnsetType = UNSET
    labels: Labels | UnsetType = UNSET
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
    suite = find(request.use, DEFAULTS[request.use] if request.suite is UNSET else request.suite)
    context.alg = suite.name
    kid = Kid(request.tenant, request.purpose, new_uuid(), 1)
    version = await kms.queue.run(kms.costs[suite.name].generate, lambda: kms.custodian.create(kid, suite))
    key = Key(
        tenant=kid.tenant,
        purpose=kid.purpose,
        uuid=kid.uuid,
        use=request.use,
        raw_messages=request.raw_messages,
        labels={} if request.labels is UNSET else request.labels,
        newest=1,
        created=version.created,
    )
    answer = CreateAnswer(
        kid=str(kid),
        suite=suite.name,
        public=[TrackKey(alg, public) for alg, public in zip(suite.public_names, version.public, strict=True)],
    )
    return await _store(kms, context, request, key, version, answer)


async def _store(
    kms: Kms, context: Context, request: CreateRequest, key: Key, version: Version, answer: CreateAnswer
) -> CreateAnswer:
    """Write key and answer in one transaction, or find the answer that this ``op_id`` was given before."""
    op_id = request.op_id

    def write(connection: Connection) -> tuple[CreateAnswer, int]:
        if op_id is not UNSET:
            scoped = Scoped(key.tenant, context.caller.token_id, "create", op_id)
            now = datetime.now(UTC)
            digest = blake3(msgspec.msgpack.encode(request, order="deterministic")).digest()
            earlier = find_answer(connection, kms.rows, scoped, digest, now)
            if earlier is not None:
                return msgspec.msgpack.decode(earlier, type=CreateAnswer), 0
            keep_answer(connection, kms.rows, scoped, digest, msgspec.msgpack.encode(answer), now)
        return answer, insert_key(connection, kms.rows, key, version)

    written: tuple[CreateAnswer, int] = await kms.wait(kms.database.write(write))
    stored, n = written
    if stored is answer:
        kms.directory.remember(key, version, n)
    return stored


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
