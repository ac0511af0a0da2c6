"""list and get: which keys there are, and the public material of one."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, UnsetType

from ron_kms.custody.attestation import SOFTWARE
from ron_kms.errors import BadRequest
from ron_kms.model import Key, KeyState, Kid, State, Use, Version
from ron_kms.service.change import etag_of
from ron_kms.service.items import authorised
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, KeyPath, KidText, Moment, Request, TrackKey, no_such_key, track_keys
from ron_kms.store.keys import list_keys, load_key

T = TypeVar("T")

PAGE_MAX = 1000


class ListRequest(Request):
    """Pages of keys in the order of their names."""

    prefix: Annotated[
        str,
        Meta(
            max_length=170,
            description="Whole segments of a kid: `<tenant>`, `<tenant>/<purpose>` or all three.",
            examples=["core/audit"],
        ),
    ] = ""
    after: Annotated[KidText, Meta(description="The `next` of the page before.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX, description="Keys a page, 100 where it is left out.")] = 100


class KeyFields(Answer):
    """A key as a whole.

    ``rotation_period`` is in seconds, and ``next_rotation`` says when that is due; ``destroy_at`` says when the whole
    key is to be destroyed, ``destroyed`` when it was. Backups keep what they hold until they expire.
    """

    kid: str
    use: Use
    state: KeyState
    newest: int
    raw_messages: bool
    labels: dict[str, str]
    policy_hints: dict[str, str]
    min_verify_version: int
    min_open_version: int
    deletion_protection: bool
    created: Moment
    rotation_period: int | UnsetType = UNSET
    next_rotation: Moment | UnsetType = UNSET
    destroy_at: Moment | UnsetType = UNSET
    destroyed: Moment | UnsetType = UNSET


class KeySummary(KeyFields):
    """A key as a whole."""


class ListAnswer(Answer):
    """``next`` is there where more keys may follow: ask again with it as ``after``."""

    keys: list[KeySummary]
    next: str | UnsetType = UNSET


class VersionDetails(Answer):
    """One version and its public keys, one a track. ``destroy_at`` says when its private key is to be destroyed,
    ``destroyed`` when it was."""

    kid: str
    suite: str
    state: State
    public: list[TrackKey]
    created: Moment
    destroy_at: Moment | UnsetType = UNSET
    destroyed: Moment | UnsetType = UNSET
    attestation: Annotated[str, Meta(description="What vouches for where its private key is kept.")] = SOFTWARE.kind


class GetAnswer(KeyFields, kw_only=True):
    """A key and every version of it, the oldest first."""

    versions: list[VersionDetails]
    etag: str


async def list_all(kms: Kms, context: Context, request: ListRequest) -> ListAnswer:
    """Keys that the caller's token does not cover are not there for it.

    :raises BadRequest: the prefix is not made of whole segments, or ``after`` is outside of it.
    """
    wanted = tuple(request.prefix.split("/")) if request.prefix else ()
    if len(wanted) > 3 or not all(wanted):
        raise BadRequest("a prefix is one to three whole segments of a kid")
    prefix = context.caller.listable(wanted)
    after = None if request.after is UNSET else Kid.parse(request.after)
    if prefix is None:
        return ListAnswer(keys=[])
    limit = request.limit
    found: list[Key] = await kms.wait(
        kms.database.read(lambda connection: list_keys(connection, kms.rows, prefix, after, limit))
    )
    return ListAnswer(
        keys=[KeySummary(**key_fields(key)) for key in found],
        next=str(found[-1].kid) if len(found) == limit else UNSET,
    )


async def get(kms: Kms, context: Context, request: KeyPath) -> GetAnswer:
    """:raises NotFound: there is no such key, or the caller's token does not cover it."""
    kid = authorised(context.caller, request.kid_text)
    found: tuple[Key, list[Version]] | None = await kms.wait(
        kms.database.read(lambda connection: load_key(connection, kms.rows, kid))
    )
    if found is None:
        raise no_such_key()
    key, versions = found
    details = [VersionDetails(**version_fields(kid, version)) for version in versions]
    return GetAnswer(**key_fields(key), versions=details, etag=etag_of(key))


def key_fields(key: Key) -> dict[str, Any]:
    """The fields of :class:`KeyFields`."""
    return {
        "kid": str(key.kid),
        "use": key.use,
        "state": key.state,
        "newest": key.newest,
        "raw_messages": key.raw_messages,
        "labels": key.labels,
        "policy_hints": key.policy_hints,
        "min_verify_version": key.min_verify_version,
        "min_open_version": key.min_open_version,
        "deletion_protection": key.deletion_protection,
        "created": key.created,
        "rotation_period": _given(key.rotation_period),
        "next_rotation": _given(key.next_rotation),
        "destroy_at": _given(key.destroy_at),
        "destroyed": _given(key.destroyed),
    }


def version_fields(kid: Kid, version: Version) -> dict[str, Any]:
    """The fields of :class:`VersionDetails`."""
    return {
        "kid": str(kid.at(version.number)),
        "suite": version.suite,
        "state": version.state,
        "public": track_keys(version),
        "created": version.created,
        "destroy_at": _given(version.destroy_at),
        "destroyed": _given(version.destroyed),
    }


def _given(value: T | None) -> T | UnsetType:
    return UNSET if value is None else value


OPERATIONS = (
    Operation(
        name="list",
        method="GET",
        path="/v1/kms/keys",
        scope="kms:read",
        request=ListRequest,
        response=ListAnswer,
        act=list_all,
        help="List keys by prefix, page by page; only those that the token covers.",
    ),
    Operation(
        name="get",
        method="GET",
        path="/v1/kms/keys/{tenant}/{purpose}/{uuid}",
        scope="kms:read",
        request=KeyPath,
        response=GetAnswer,
        act=get,
        help="A key with the public keys and states of all its versions, and what is to become of it.",
    ),
)
