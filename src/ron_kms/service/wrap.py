"""wrap and wrap:batch: a data key under a key's public half, with HPKE.

Whoever has the public key can do the same offline: info is ``ron-kms/wrap/v1``, a zero byte, the kid with its version,
a zero byte and the context; what is answered is a format byte, the version as u32, and HPKE's message.
"""

from __future__ import annotations

import os
from typing import Annotated, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.framing import ciphertext_header, wrap_info
from ron_kms.crypto.wrapping import WrapKey, wrap_batch
from ron_kms.errors import BadRequest, Internal, KmsError
from ron_kms.keys.directory import Entry
from ron_kms.service.items import Verb
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import digest_of_ciphertext, require_newest, require_use
from ron_kms.service.schema import ITEMS_MAX, Answer, Bound, Failure, KidText, Request, Secret, each
from ron_kms.service.work import Work

DataKeySize = Annotated[
    int, Meta(ge=16, le=1024, description="Bytes of a fresh random data key, which is answered once in the clear.")
]


class WrapRequest(Request):
    """Exactly one of ``plaintext`` and ``size``."""

    kid: KidText
    plaintext: Secret | UnsetType = UNSET
    size: DataKeySize | UnsetType = UNSET
    context: Bound = b""


class WrapItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    kid: KidText | UnsetType = UNSET
    plaintext: Secret | UnsetType = UNSET
    size: DataKeySize | UnsetType = UNSET
    context: Bound = b""


class WrapBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[WrapItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class WrapAnswer(Answer):
    """The version that it is wrapped for; ``plaintext`` is there where the service has made the data key."""

    kid: str
    wrapped: bytes
    plaintext: bytes | UnsetType = UNSET


class WrapResult(Answer):
    """One item's answer, or its ``error``."""

    kid: str | UnsetType = UNSET
    wrapped: bytes | UnsetType = UNSET
    plaintext: bytes | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class WrapBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[WrapResult]


class _Envelope(NamedTuple):
    key: WrapKey
    plaintext: bytes
    info: bytes
    made_here: bool


async def wrap(kms: Kms, context: Context, request: WrapRequest) -> WrapAnswer:
    """:raises NotFound, KeyDisabled, Conflict, BadRequest, Unsupported: as it concerns this key."""
    return await WRAP.one(kms, context, "wrap", request)


async def wrap_many(kms: Kms, context: Context, request: WrapBatchRequest) -> WrapBatchAnswer:
    """Each item succeeds or fails by itself."""
    return WrapBatchAnswer(
        items=each(WrapResult, await WRAP.many(kms, context, "wrap:batch", request.items, request.kid))
    )


def _prepare(item: WrapRequest | WrapItem, entry: Entry) -> _Envelope:
    key = wrapping_half(entry)
    info = wrap_info(entry.kid, item.context)
    if item.plaintext is not UNSET and item.size is UNSET:
        return _Envelope(key, item.plaintext, info, made_here=False)
    if item.size is UNSET or item.plaintext is not UNSET:
        raise BadRequest("exactly one of plaintext and size is needed")
    return _Envelope(key, os.urandom(item.size), info, made_here=True)


def _size(envelope: _Envelope) -> int:
    return len(envelope.plaintext)


def wrapping_half(entry: Entry) -> WrapKey:
    """The public key that new data keys are wrapped for.

    :raises Unsupported, Conflict, KeyDisabled: this version may not have any.
    """
    require_use(entry, "wrap")
    require_newest(entry)
    if entry.wrap_key is None:
        raise Internal("a wrapping key without its public half")
    return entry.wrap_key


def _compute(works: list[Work[_Envelope]]) -> list[WrapAnswer | KmsError]:
    results = wrap_batch([(work.prepared.key, work.prepared.plaintext, work.prepared.info) for work in works])
    return [
        WrapAnswer(
            kid=work.entry.text,
            wrapped=ciphertext_header(work.entry.kid.version or 0) + result,
            plaintext=work.prepared.plaintext if work.prepared.made_here else UNSET,
        )
        if isinstance(result, bytes)
        else Internal("nothing can be wrapped for this public key")
        for work, result in zip(works, results, strict=True)
    ]


def _digest(work: Work[_Envelope]) -> bytes:
    result = work.result
    return digest_of_ciphertext(result.wrapped if isinstance(result, WrapAnswer) else None)


# Fresh, so that nothing is wrapped for a version that was disabled or found compromised elsewhere.
WRAP = Verb(private=False, prepare=_prepare, compute=_compute, size=_size, digest=_digest, fresh=True)

OPERATIONS = (
    Operation(
        name="wrap",
        method="POST",
        path="/v1/kms/wrap",
        scope="kms:wrap",
        request=WrapRequest,
        response=WrapAnswer,
        act=wrap,
        help="Wrap a data key, given or freshly made, for the newest version of a key. It proves no sender: see seal.",
    ),
    Operation(
        name="wrap:batch",
        method="POST",
        path="/v1/kms/wrap:batch",
        scope="kms:wrap",
        request=WrapBatchRequest,
        response=WrapBatchAnswer,
        act=wrap_many,
        help="Wrap up to 1,024 data keys. Each succeeds or fails by itself, in order.",
    ),
)
