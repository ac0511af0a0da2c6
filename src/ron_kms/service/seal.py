"""seal and open, with their batches: data encrypted and authenticated under a key that the service keeps.

What is sealed can only have been sealed here. Associated data are the kid with its version, the version, the suite and
the caller's aad; what is answered is a format byte, the version as u32, 24 random bytes of nonce, and the ciphertext.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.framing import HEADER_SIZE, ciphertext_header, seal_ad
from ron_kms.custody import core as custody
from ron_kms.errors import KmsError
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid
from ron_kms.service.items import Verb
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import digest_of_ciphertext, named_inside, require_newest, require_openable, require_use
from ron_kms.service.schema import (
    ITEMS_MAX,
    Answer,
    Bound,
    Ciphertext,
    Failure,
    KidText,
    Request,
    Secret,
    does_not_open,
    each,
)
from ron_kms.service.work import Work


class SealRequest(Request):
    """``aad`` is authenticated with the plaintext and not kept."""

    kid: KidText
    plaintext: Secret
    aad: Bound = b""


class SealItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    plaintext: Secret
    kid: KidText | UnsetType = UNSET
    aad: Bound = b""


class SealBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[SealItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class SealAnswer(Answer):
    """The version that it is sealed under."""

    kid: str
    sealed: bytes


class SealResult(Answer):
    """One item's answer, or its ``error``."""

    kid: str | UnsetType = UNSET
    sealed: bytes | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class SealBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[SealResult]


class OpenRequest(Request):
    """What seal has answered, and the same ``aad``."""

    kid: KidText
    sealed: Ciphertext
    aad: Bound = b""


class OpenItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    sealed: Ciphertext
    kid: KidText | UnsetType = UNSET
    aad: Bound = b""


class OpenBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[OpenItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class OpenAnswer(Answer):
    """The version that opened it, and what was sealed."""

    kid: str
    plaintext: bytes


class OpenResult(Answer):
    """One item's answer, or its ``error``."""

    kid: str | UnsetType = UNSET
    plaintext: bytes | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class OpenBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[OpenResult]


class _Input(NamedTuple):
    ad: bytes
    data: bytes


async def seal(kms: Kms, context: Context, request: SealRequest) -> SealAnswer:
    """:raises NotFound, KeyDisabled, Conflict, Unsupported: as it concerns this key."""
    return await SEAL.one(kms, context, "seal", request)


async def seal_many(kms: Kms, context: Context, request: SealBatchRequest) -> SealBatchAnswer:
    """Each item succeeds or fails by itself."""
    return SealBatchAnswer(
        items=each(SealResult, await SEAL.many(kms, context, "seal:batch", request.items, request.kid))
    )


async def open_one(kms: Kms, context: Context, request: OpenRequest) -> OpenAnswer:
    """:raises NotFound, KeyDisabled, BadRequest, Unsupported: as it concerns this key."""
    return await OPEN.one(kms, context, "open", request)


async def open_many(kms: Kms, context: Context, request: OpenBatchRequest) -> OpenBatchAnswer:
    """Each item succeeds or fails by itself."""
    return OpenBatchAnswer(
        items=each(OpenResult, await OPEN.many(kms, context, "open:batch", request.items, request.kid))
    )


def _admit_sealing(entry: Entry) -> None:
    require_use(entry, "seal")
    require_newest(entry)


def _admit_opening(entry: Entry) -> None:
    require_use(entry, "seal")
    require_openable(entry)


def _prepare_seal(item: SealRequest | SealItem, entry: Entry) -> _Input:
    return _Input(seal_ad(entry.kid, entry.suite.name, item.aad), item.plaintext)


def _prepare_open(item: OpenRequest | OpenItem, entry: Entry) -> _Input:
    return _Input(seal_ad(entry.kid, entry.suite.name, item.aad), item.sealed[HEADER_SIZE:])


def _named_inside(item: OpenRequest | OpenItem, kid: Kid) -> Kid:
    return named_inside(kid, item.sealed)


def _size(given: _Input) -> int:
    return len(given.data)


def _seal(works: list[Work[_Input]]) -> list[SealAnswer | KmsError]:
    results = custody.seal(
        [work.slot for work in works], [work.prepared.ad for work in works], [work.prepared.data for work in works]
    )
    return [
        SealAnswer(kid=work.entry.text, sealed=ciphertext_header(work.entry.kid.version or 0) + result)
        if isinstance(result, bytes)
        else result
        for work, result in zip(works, results, strict=True)
    ]


def _open(works: list[Work[_Input]]) -> list[OpenAnswer | KmsError]:
    results = custody.unseal_data(
        [work.slot for work in works], [work.prepared.ad for work in works], [work.prepared.data for work in works]
    )
    return [
        does_not_open() if result is None else OpenAnswer(kid=work.entry.text, plaintext=result)
        for work, result in zip(works, results, strict=True)
    ]


def _digest_sealed(work: Work[_Input]) -> bytes:
    result = work.result
    return digest_of_ciphertext(result.sealed if isinstance(result, SealAnswer) else None)


def _digest_opened(work: Work[_Input]) -> bytes:
    item: Any = work.item
    return digest_of_ciphertext(item.sealed)


SEAL = Verb(
    private=True,
    admit=_admit_sealing,
    prepare=_prepare_seal,
    compute=_seal,
    size=_size,
    digest=_digest_sealed,
)
OPEN = Verb(
    private=True,
    admit=_admit_opening,
    prepare=_prepare_open,
    compute=_open,
    size=_size,
    digest=_digest_opened,
    kid=_named_inside,
    opens=True,
)

OPERATIONS = (
    Operation(
        name="seal",
        method="POST",
        path="/v1/kms/seal",
        scope="kms:seal",
        request=SealRequest,
        response=SealAnswer,
        act=seal,
        help="Encrypt and authenticate data under the newest version of a kept key.",
    ),
    Operation(
        name="seal:batch",
        method="POST",
        path="/v1/kms/seal:batch",
        scope="kms:seal",
        request=SealBatchRequest,
        response=SealBatchAnswer,
        act=seal_many,
        help="Seal up to 1,024 items. Each succeeds or fails by itself, in order.",
    ),
    Operation(
        name="open",
        method="POST",
        path="/v1/kms/open",
        scope="kms:open",
        request=OpenRequest,
        response=OpenAnswer,
        act=open_one,
        help="Open sealed data with the version of the key that they name.",
    ),
    Operation(
        name="open:batch",
        method="POST",
        path="/v1/kms/open:batch",
        scope="kms:open",
        request=OpenBatchRequest,
        response=OpenBatchAnswer,
        act=open_many,
        help="Open up to 1,024 sealed items. Each succeeds or fails by itself, in order.",
    ),
)
