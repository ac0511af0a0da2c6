"""unwrap and rewrap, with their batches: data keys that were wrapped for a key, by the version that they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple, Protocol

from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.framing import HEADER_SIZE, ciphertext_header, wrap_info
from ron_kms.crypto.wrapping import WrapKey
from ron_kms.custody import core as custody
from ron_kms.errors import KmsError
from ron_kms.keys.directory import Entry
from ron_kms.model import Kid
from ron_kms.service.items import Verb, authorised
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.rules import digest_of_ciphertext, named_inside, require_openable, require_use
from ron_kms.service.schema import (
    ITEMS_MAX,
    Answer,
    Bound,
    Ciphertext,
    Failure,
    KidText,
    Request,
    does_not_open,
    each,
    no_such_key,
)
from ron_kms.service.work import Work, attempt
from ron_kms.service.wrap import WrapAnswer, WrapBatchAnswer, WrapResult, wrapping_half


class UnwrapRequest(Request):
    """What wrap has answered, and the same context."""

    kid: KidText
    wrapped: Ciphertext
    context: Bound = b""


class UnwrapItem(Request):
    """As a single request; ``kid`` may be left out where the batch has one."""

    wrapped: Ciphertext
    kid: KidText | UnsetType = UNSET
    context: Bound = b""


class UnwrapBatchRequest(Request):
    """An item's ``kid`` goes before the batch's."""

    items: Annotated[list[UnwrapItem], Meta(max_length=ITEMS_MAX)]
    kid: KidText | UnsetType = UNSET


class UnwrapAnswer(Answer):
    """The version that opened it, and the data key."""

    kid: str
    plaintext: bytes


class UnwrapResult(Answer):
    """One item's answer, or its ``error``."""

    kid: str | UnsetType = UNSET
    plaintext: bytes | UnsetType = UNSET
    error: Failure | UnsetType = UNSET


class UnwrapBatchAnswer(Answer):
    """One result an item, in order."""

    items: list[UnwrapResult]


class _Sealed(NamedTuple):
    info: bytes
    message: bytes


class _Move(NamedTuple):
    """An item to rewrap, with the version that it is to be wrapped for."""

    kid: str | UnsetType
    wrapped: bytes
    context: bytes
    target: Entry | KmsError


class _Moved(NamedTuple):
    sealed: _Sealed
    target: Entry
    key: WrapKey
    info: bytes


class _Wrapped(Protocol):
    @property
    def wrapped(self) -> bytes: ...

    @property
    def context(self) -> bytes: ...


async def unwrap(kms: Kms, context: Context, request: UnwrapRequest) -> UnwrapAnswer:
    """:raises NotFound, KeyDisabled, BadRequest, Unsupported: as it concerns this key."""
    return await UNWRAP.one(kms, context, "unwrap", request)


async def unwrap_many(kms: Kms, context: Context, request: UnwrapBatchRequest) -> UnwrapBatchAnswer:
    """Each item succeeds or fails by itself."""
    results = await UNWRAP.many(kms, context, "unwrap:batch", request.items, request.kid)
    return UnwrapBatchAnswer(items=each(UnwrapResult, results))


async def rewrap(kms: Kms, context: Context, request: UnwrapRequest) -> WrapAnswer:
    """:raises NotFound, KeyDisabled, BadRequest, Unsupported: as it concerns this key."""
    [move] = await _moves(kms, context, [request], UNSET)
    return await REWRAP.one(kms, context, "rewrap", move)


async def rewrap_many(kms: Kms, context: Context, request: UnwrapBatchRequest) -> WrapBatchAnswer:
    """Each item succeeds or fails by itself."""
    moves = await _moves(kms, context, request.items, request.kid)
    return WrapBatchAnswer(items=each(WrapResult, await REWRAP.many(kms, context, "rewrap:batch", moves)))


async def _moves(
    kms: Kms, context: Context, items: Sequence[UnwrapRequest | UnwrapItem], default: str | UnsetType
) -> list[_Move]:
    texts = [item.kid if item.kid is not UNSET else default for item in items]
    kids = [attempt(authorised, context.caller, text) for text in texts]
    targets = await kms.directory.find(kid.at(None) for kid in kids if isinstance(kid, Kid))
    return [
        _Move(
            text,
            item.wrapped,
            item.context,
            kid if isinstance(kid, KmsError) else targets.get(kid.at(None), no_such_key()),
        )
        for text, item, kid in zip(texts, items, kids, strict=True)
    ]


def _named_inside(item: _Wrapped, kid: Kid) -> Kid:
    return named_inside(kid, item.wrapped)


def _admit(entry: Entry) -> None:
    require_use(entry, "wrap")
    require_openable(entry)


def _prepare(item: _Wrapped, entry: Entry) -> _Sealed:
    return _Sealed(wrap_info(entry.kid, item.context), item.wrapped[HEADER_SIZE:])


def _prepare_move(item: _Move, entry: Entry) -> _Moved:
    if isinstance(item.target, KmsError):
        raise item.target
    key = wrapping_half(item.target)
    _admit(entry)
    return _Moved(_prepare(item, entry), item.target, key, wrap_info(item.target.kid, item.context))


def _size(sealed: _Sealed) -> int:
    return len(sealed.message)


def _digest(work: Work[Any]) -> bytes:
    item: Any = work.item
    return digest_of_ciphertext(item.wrapped)


def _unwrap(works: list[Work[_Sealed]]) -> list[UnwrapAnswer | KmsError]:
    results = custody.unwrap(
        [work.slot for work in works], [work.prepared.info for work in works], [work.prepared.message for work in works]
    )
    return [
        does_not_open() if result is None else UnwrapAnswer(kid=work.entry.text, plaintext=result)
        for work, result in zip(works, results, strict=True)
    ]


def _rewrap(works: list[Work[_Moved]]) -> list[WrapAnswer | KmsError]:
    moved = [work.prepared for work in works]
    results = custody.rewrap(
        [work.slot for work in works],
        [move.sealed.info for move in moved],
        [move.sealed.message for move in moved],
        [move.key for move in moved],
        [move.info for move in moved],
    )
    return [
        does_not_open()
        if result is None
        else WrapAnswer(kid=move.target.text, wrapped=ciphertext_header(move.target.kid.version or 0) + result)
        for move, result in zip(moved, results, strict=True)
    ]


UNWRAP = Verb[UnwrapRequest | UnwrapItem, _Sealed, UnwrapAnswer](
    private=True,
    admit=_admit,
    prepare=_prepare,
    compute=_unwrap,
    size=_size,
    digest=_digest,
    kid=_named_inside,
    opens=True,
)
REWRAP = Verb[_Move, _Moved, WrapAnswer](
    private=True,
    prepare=_prepare_move,
    compute=_rewrap,
    size=lambda move: _size(move.sealed),
    digest=_digest,
    kid=_named_inside,
    opens=True,
    also=lambda move: (move.target,),
)

OPERATIONS = (
    Operation(
        name="unwrap",
        method="POST",
        path="/v1/kms/unwrap",
        scope="kms:unwrap",
        request=UnwrapRequest,
        response=UnwrapAnswer,
        act=unwrap,
        help="Open a wrapped data key with the version of the key that it names.",
    ),
    Operation(
        name="unwrap:batch",
        method="POST",
        path="/v1/kms/unwrap:batch",
        scope="kms:unwrap",
        request=UnwrapBatchRequest,
        response=UnwrapBatchAnswer,
        act=unwrap_many,
        help="Open up to 1,024 wrapped data keys. Each succeeds or fails by itself, in order.",
    ),
    Operation(
        name="rewrap",
        method="POST",
        path="/v1/kms/rewrap",
        scope="kms:wrap",
        request=UnwrapRequest,
        response=WrapAnswer,
        act=rewrap,
        help="Wrap a wrapped data key anew for the newest version, without showing it. The context stays the same.",
    ),
    Operation(
        name="rewrap:batch",
        method="POST",
        path="/v1/kms/rewrap:batch",
        scope="kms:wrap",
        request=UnwrapBatchRequest,
        response=WrapBatchAnswer,
        act=rewrap_many,
        help="Rewrap up to 1,024 data keys. Each succeeds or fails by itself, in order.",
    ),
)
