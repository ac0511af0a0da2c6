"""What requests and answers have in common. JSON and MessagePack, OpenAPI and the library all come from these types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ron_kms.crypto.framing import CONTEXT_MAX, DIGEST_SIZE, MESSAGE_MAX
from ron_kms.crypto.signing import Mode
from ron_kms.crypto.suites import DEFAULTS, SUITES, names
from ron_kms.errors import BadRequest, KmsError, NotFound
from ron_kms.model import NAME_PATTERN, Version

R = TypeVar("R", bound="Request")
A = TypeVar("A", bound="Answer")

ITEMS_MAX = 1024


class Request(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, kw_only=True, gc=False):
    """A request: strict, so that a field this version does not know is refused rather than ignored.

    Encoded again, it has the fields that were given and differ from their defaults, which is how one that was given
    twice is found.
    """


class Answer(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """An answer; fields that do not apply are left out."""


KidText = Annotated[
    str,
    Meta(
        max_length=200,
        description="`<tenant>/<purpose>/<uuid>#v<N>`; without `#v<N>` it means the newest version.",
        examples=["core/audit/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a#v1"],
    ),
]
Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="1 to 63 of a-z, 0-9, `.`, `_`, `-`.")]
Digest = Annotated[
    bytes,
    Meta(
        min_length=DIGEST_SIZE,
        max_length=DIGEST_SIZE,
        description="The BLAKE3-256 digest of what is signed, 32 bytes.",
        examples=["E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="],
    ),
]
Message = Annotated[
    bytes,
    Meta(
        max_length=MESSAGE_MAX,
        description="The message itself, up to 64 KiB, for keys with `raw_messages`; never beginning with `ron-kms-`.",
    ),
]
Secret = Annotated[bytes, Meta(max_length=MESSAGE_MAX, description="Up to 64 KiB.")]
Ciphertext = Annotated[bytes, Meta(max_length=MESSAGE_MAX + 4096, description="As it was answered.")]
Bound = Annotated[
    bytes, Meta(max_length=CONTEXT_MAX, description="Up to 1 KiB that has to be given again, unchanged, to open it.")
]
OpId = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$(?!\\n)",
        description="A UUID of the caller's.",
    ),
]


_SUITES = "; ".join(f"to {use}: {', '.join(names(use))}" for use in DEFAULTS)
SuiteName = Annotated[
    str,
    Meta(
        max_length=64,
        description=f"What it is made of; by default as the phase of the tenant's policy says. {_SUITES}.",
        examples=["hybrid"],
    ),
]

_Label = Annotated[str, Meta(min_length=1, max_length=63, description="1 to 63 characters.")]
_LabelValue = Annotated[str, Meta(max_length=255)]
Labels = Annotated[dict[_Label, _LabelValue], Meta(max_length=32, description="The caller's own notes on the key.")]
PolicyHints = Annotated[
    dict[_Label, _LabelValue], Meta(max_length=16, description="Notes for those who set policy; nothing acts on them.")
]


class KeyPath(Request):
    """A key, named by the segments of a path."""

    tenant: Name
    purpose: Name
    uuid: Annotated[str, Meta(max_length=36, description="A UUID of version 7.")]

    @property
    def kid_text(self) -> str:
        return f"{self.tenant}/{self.purpose}/{self.uuid}"


class VersionPath(KeyPath):
    """One version of a key, named by the segments of a path."""

    version: Annotated[int, Meta(ge=1, le=999_999_999, description="The version's number.")]

    @property
    def kid_text(self) -> str:
        return f"{self.tenant}/{self.purpose}/{self.uuid}#v{self.version}"


class TrackSignature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One track's signature."""

    alg: Annotated[str, Meta(max_length=32, description="The track.", examples=["ed25519", "ml-dsa-65"])]
    signature: Annotated[bytes, Meta(max_length=8192)]


class TrackKey(msgspec.Struct, frozen=True, gc=False):
    """One track's public key, raw as RFC 8032 and FIPS 204 define it."""

    alg: str
    public_key: bytes


def track_keys(version: Version) -> list[TrackKey]:
    """The public keys of a version, one a track."""
    named = zip(SUITES[version.suite].public_names, version.public, strict=True)
    return [TrackKey(alg, public) for alg, public in named]


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why one item of a batch failed; the others are not concerned."""

    code: str
    message: str
    retryable: bool
    hint: str

    @classmethod
    def of(cls, error: KmsError) -> Failure:
        return cls(error.code, error.message, error.retryable, error.hint)


class PolicyAsked(Request):
    """What a request demands of signatures beyond its tenant's policy: at least as strict, or it is refused.

    ``and`` (every track of the version, the post-quantum one among them) is stricter than ``pq_only`` (the
    post-quantum one), and that than ``or`` (any).
    """

    mode: Mode


def asked(policy: PolicyAsked | UnsetType) -> Mode | None:
    """The mode that a request asks for."""
    return None if policy is UNSET else policy.mode


def each(type_: type[A], results: Sequence[msgspec.Struct | KmsError]) -> list[A]:
    """The items of a batch's answer: what a single request would have been answered, or the ``error`` in its place."""
    return [
        type_(error=Failure.of(result)) if isinstance(result, KmsError) else type_(**msgspec.structs.asdict(result))
        for result in results
    ]


def does_not_open() -> BadRequest:
    """The one answer for whatever is wrong with a ciphertext: key, version, context, associated data or any bit."""
    return BadRequest(
        "the ciphertext does not open",
        hint="Check the key, the context or aad, and that nothing was cut off or changed.",
    )


def no_such_key() -> NotFound:
    """The one answer for a key that does not exist and for one that the token does not cover."""
    return NotFound("there is no such key, or this token does not cover it")


def request_of(type_: type[R], fields: Mapping[str, Any]) -> R:
    """A request made in this process, strict as if it had come over the wire; fields that are None are left out.

    :raises BadRequest: it does not fit its schema; the message says where.
    """
    return request_with(type_, {name: value for name, value in fields.items() if value is not None})


def request_with(type_: type[R], fields: Mapping[str, Any]) -> R:
    """As :func:`request_of`, where None is a value too; fields that are UNSET are left out.

    :raises BadRequest: it does not fit its schema; the message says where.
    """
    try:
        sent = msgspec.msgpack.encode({name: value for name, value in fields.items() if value is not UNSET})
        return msgspec.msgpack.decode(sent, type=type_)
    except (msgspec.MsgspecError, TypeError) as error:
        raise BadRequest(str(error)) from None
