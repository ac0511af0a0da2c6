"""list and get: which keys there are, and the public material of one."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ron_kms.errors import BadRequest
from ron_kms.model import Key, Kid, State, Use, Version
from ron_kms.service.items import authorised
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, KeyPath, KidText, Moment, Request, TrackKey, no_such_key, track_keys
from ron_kms.store.keys import list_keys, load_key

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


class KeySummary(Answer):
    """A key as a whole."""

    kid: str
    use: Use
    newest: int
    raw_messages: bool
    labels: dict[str, str]
    created: Moment


class ListAnswer(Answer):
    """``next`` is there where more keys may follow: ask again with it as ``after``."""

    keys: list[KeySummary]
    next: str | UnsetType = UNSET


class VersionDetails(Answer):
    """One version and its public keys, one a track."""

    kid: str
    suite: str
    state: State
    public: list[TrackKey]
    created: Moment


class GetAnswer(Answer):
    """A key and every version of it, the oldest first."""

    kid: str
    use: Use
    newest: int
    raw_messages: bool
    labels: dict[str, str]
    created: Moment
    versions: list[VersionDetails]


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
        keys=[
            KeySummary(
                kid=str(key.kid),
                use=key.use,
                newest=key.newest,
                raw_messages=key.raw_messages,
                labels=key.labels,
                created=key.created,
            )
            for key in found
        ],
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
    return GetAnswer(
        kid=str(key.kid),
        use=key.use,
        newest=key.newest,
        raw_messages=key.raw_messages,
        labels=key.labels,
        created=key.created,
        versions=[_details(kid, version) for version in versions],
    )


def _details(kid: Kid, version: Version) -> VersionDetails:
    return VersionDetails(
        kid=str(kid.at(version.number)),
        suite=version.suite,
        state=version.state,
        public=track_keys(version),
        created=version.created,
    )


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
        help="A key with the public keys and states of all its versions.",
    ),
)
