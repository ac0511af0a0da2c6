"""sign and sign:batch: signatures with the newest version of a key, every track of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from ron_kms import _core
from ron_kms.crypto.framing import digest_message, raw_message
from ron_kms.custody.core import sign as custody_sign
from ron_kms.errors import BadRequest, Conflict, KeyDisabled, KmsError, Unsupported
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid
from ron_kms.service.items import attempt, authorised, entry_of, look_up, unseal
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import (
    ITEMS_MAX,
    Answer,
    Digest,
    Failure,
    KidText,
    Message,
    OpId,
    Request,
    TrackSignature,
)


class SignRequest(Request):
    """Exactly one of ``digest`` and ``message``."""

    kid: KidText
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET
    op_id: OpId | UnsetType = UNSET


class SignItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    kid: KidText | UnsetType = UNSET
    digest: Digest | UnsetType = UNSET
    message: Message | UnsetType = UNSET


class SignBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

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


class _Job(NamedTuple):
    entry: Entry
    slot: _core.KeySlot
    message: bytes


async def sign(kms: Kms, context: Context, request: SignRequest) -> SignAnswer:
    """:raises NotFound, KeyDisabled, Conflict, BadRequest, Unsupported: as it concerns this key."""
    item = SignItem(kid=request.kid, digest=request.digest, message=request.message)
    [result] = await _sign(kms, context, "sign", [item])
    if isinstance(result, KmsError):
        raise result
    return result


async def sign_batch(kms: Kms, context: Context, request: SignBatchRequest) -> SignBatchAnswer:
    """Each item succeeds or fails by itself."""
    results = await _sign(kms, context, "sign:batch", request.items, request.kid)
    return SignBatchAnswer(
        items=[
            SignResult(error=Failure.of(result))
            if isinstance(result, KmsError)
            else SignResult(kid=result.kid, sigs=result.sigs)
            for result in results
        ]
    )


async def _sign(
    kms: Kms, context: Context, op: str, items: list[SignItem], kid: str | UnsetType = UNSET
) -> list[SignAnswer | KmsError]:
    kids = [attempt(lambda item: authorised(context.caller, item.kid, kid), item) for item in items]
    entries = await look_up(kms, kids)
    chosen = [attempt(lambda kid: _signer(kid, entries), kid) for kid in kids]
    slots = await unseal(kms, (entry for entry in chosen if isinstance(entry, Entry)))
    jobs = [attempt(lambda pair: _job(*pair, slots), pair) for pair in zip(items, chosen, strict=True)]
    ready = [job for job in jobs if isinstance(job, _Job)]
    signed = iter(
        await kms.queue.run(sum(kms.costs[job.entry.suite.name].private for job in ready), lambda: _run(ready))
    )
    results = [job if isinstance(job, KmsError) else next(signed) for job in jobs]
    _count(kms, context, op, chosen, results)
    return results


def _signer(kid: Kid | KmsError, entries: Mapping[Kid, Entry | KmsError]) -> Entry:
    """The version that signs: the newest, and only while it is enabled."""
    entry = entry_of(kid, entries)
    if entry.key.use != "sign":
        raise Unsupported(f"this key is for use '{entry.key.use}' and does not sign")
    if not entry.newest:
        raise Conflict("only the newest version of a key signs", hint="Leave the version away, or name the newest.")
    if entry.state != "enabled":
        raise KeyDisabled(f"the newest version of this key is {entry.state}")
    return entry


def _job(item: SignItem, entry: Entry | KmsError, slots: Mapping[Kid, _core.KeySlot | KmsError]) -> _Job:
    if isinstance(entry, KmsError):
        raise entry
    slot = slots[entry.kid]
    if isinstance(slot, KmsError):
        raise slot
    return _Job(entry, slot, signed_message(entry, item.digest, item.message))


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


def _run(jobs: list[_Job]) -> list[SignAnswer | KmsError]:
    results = custody_sign([job.slot for job in jobs], [job.entry.suite for job in jobs], [job.message for job in jobs])
    return [
        result
        if isinstance(result, KmsError)
        else SignAnswer(kid=str(job.entry.kid), sigs=[TrackSignature(*signature) for signature in result])
        for job, result in zip(jobs, results, strict=True)
    ]


def _count(
    kms: Kms, context: Context, op: str, entries: list[Entry | KmsError], results: list[SignAnswer | KmsError]
) -> None:
    outcomes = Counter(
        ("" if isinstance(entry, KmsError) else entry.suite.name, result.code if isinstance(result, KmsError) else "ok")
        for entry, result in zip(entries, results, strict=True)
    )
    for (alg, outcome), count in outcomes.items():
        kms.metrics.done(op, alg, outcome, count)
        context.alg = alg


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
