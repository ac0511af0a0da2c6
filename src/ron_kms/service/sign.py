"""sign and sign:batch: signatures with the newest version of a key, every track of it."""

from __future__ import annotations

from typing import Annotated, Any

from blake3 import blake3
from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.framing import digest_message, raw_message
from ron_kms.crypto.signing import Mode
from ron_kms.custody import core as custody
from ron_kms.errors import BadRequest, Internal, KmsError, PolicyRefused, Unsupported
from ron_kms.keys.directory import Entry
from ron_kms.model import Policy
from ron_kms.policy.pq import mode_of
from ron_kms.service.items import Verb
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import require_newest, require_use
from ron_kms.service.schema import (
    ITEMS_MAX,
    Answer,
    Digest,
    Failure,
    KidText,
    Message,
    OpId,
    PolicyAsked,
    Request,
    TrackSignature,
    asked,
)
from ron_kms.service.work import Work, value_of


class SignRequest(Request):
    """Exactly one of ``digest`` and ``message``. ``op_id`` is for the audit log: it stands in the record."""

    kid: KidText
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    policy: PolicyAsked | UnsetType = UNSET
    op_id: OpId | UnsetType = UNSET


class SignItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    kid: KidText | UnsetType = UNSET
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    policy: PolicyAsked | UnsetType = UNSET


class SignBatchRequest(Request):
    """An item's ``kid`` goes before the batch's. ``op_id`` is for the audit log: it stands in the records."""

    items: Annotated[list[SignItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET
    op_id: OpId | UnsetType = UNSET


class SignAnswer(Answer):
    """The version that signed, and one signature a track."""

    kid: str
    sigs: list[TrackSignature]


class SignResult(Answer):
    """One item's signatures, or its ``error``."""

    kid: str | UnsetType = UNSET
    sigs: list[TrackSignature] | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class SignBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[SignResult]


async def sign(kms: Kms, context: Context, request: SignRequest) -> SignAnswer:
    """:raises NotFound, KeyDisabled, Conflict, BadRequest, Unsupported: as it concerns this key.
    :raises PolicyRefused: a mode is asked for that is looser than the tenant's policy, or that signatures by the newest
        version of this key cannot satisfy.
    :raises AttestationMissing: it needs a key that something vouches for.
    """
    context.op_id = request.op_id or None
    kms.require_attestation()
    [work] = await SIGN.works(kms, context, "sign", (request,))
    signatures = value_of(work)
    return SignAnswer(kid=work.entry.text, sigs=_tracks(work.entry, signatures))


async def sign_batch(kms: Kms, context: Context, request: SignBatchRequest) -> SignBatchAnswer:
    """Each item succeeds or fails by itself.

    :raises AttestationMissing: it needs keys that something vouches for.
    """
    context.op_id = request.op_id or None
    kms.require_attestation()
    works = await SIGN.works(kms, context, "sign:batch", request.items, request.kid)
    return SignBatchAnswer(items=[_result(work) for work in works])


def _admit(entry: Entry) -> None:
    require_use(entry, "sign")
    require_newest(entry)


def _prepare(item: SignRequest | SignItem, entry: Entry) -> bytes:
    return signed_message(entry, item.digest, item.message)


def _governed(item: SignRequest | SignItem) -> bool:
    return item.policy is not UNSET


def _permit(item: SignRequest | SignItem, entry: Entry, policy: Policy) -> Mode:
    mode = mode_of(policy, entry.kid.uuid, asked(item.policy))
    if mode != "or" and not entry.suite.post_quantum:
        raise PolicyRefused(
            f"signatures by this version cannot satisfy '{mode}': its suite is {entry.suite.name}",
            hint="Rotate the key to a hybrid or post-quantum suite.",
        )
    return mode


def signed_message(entry: Entry, digest: bytes | UnsetType, message: bytes | UnsetType) -> bytes:
    """The exact bytes that signatures of this key are over.

    :raises BadRequest: not exactly one of both, or a message of a reserved form.
    :raises Unsupported: the key does not take raw messages.
    """
    if digest is not UNSET and message is UNSET:
        return digest_message(entry.suite.name, digest)
    if message is UNSET or digest is not UNSET:
        raise BadRequest("exactly one of digest and message is needed")
    if not entry.key.raw_messages:
        raise Unsupported(
            "this key takes digests only",
            hint="Send the BLAKE3-256 digest, or make a key with raw_messages.",
        )
    return raw_message(message)


def _compute(works: list[Work[bytes]]) -> list[tuple[bytes, ...] | Internal]:
    return custody.sign([work.slot for work in works], [work.prepared for work in works])


def _result(work: Work[bytes]) -> SignResult:
    if isinstance(work.result, KmsError):
        return SignResult(error=Failure.of(work.result))
    return SignResult(kid=work.entry.text, sigs=_tracks(work.entry, work.result))


def _tracks(entry: Entry, signatures: tuple[bytes, ...]) -> list[TrackSignature]:
    return [*map(TrackSignature, entry.suite.public_names, signatures)]


def digest_of(work: Work[Any]) -> bytes:
    """What the audit log says of what is signed or verified: its BLAKE3-256 digest."""
    item: Any = work.item
    digest: bytes = item.digest if item.digest is not UNSET else blake3(item.message).digest()
    return digest


SIGN = Verb(
    private=True,
    admit=_admit,
    prepare=_prepare,
    compute=_compute,
    size=len,
    digest=digest_of,
    governed=_governed,
    permit=_permit,
)

OPERATIONS = (
    Operation(
        name="sign",
        method="POST",
        path="/v1/kms/sign",
        scope="kms:sign",
        request=SignRequest,
        response=SignAnswer,
        act=sign,
        help="Sign a digest or a message with the newest version of a key: one signature for each of its tracks.",
    ),
    Operation(
        name="sign:batch",
        method="POST",
        path="/v1/kms/sign:batch",
        scope="kms:sign",
        request=SignBatchRequest,
        response=SignBatchAnswer,
        act=sign_batch,
        help="Sign up to 1,024 items with one or many keys. Each succeeds or fails by itself, in order.",
    ),
)
