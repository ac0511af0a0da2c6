"""token-roots: the keys that sign tokens. A new one signs new tokens; an old one is good until it is retired."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from ron_kms._core import SecretKey
from ron_kms.errors import Conflict, NoCapability, NotFound
from ron_kms.model import new_uuid
from ron_kms.service.audit import Fact, recorded
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, Moment, Request
from ron_kms.store.database import Connection
from ron_kms.store.tokens import (
    RootDates,
    TokenRoot,
    after_all,
    insert_token_root,
    list_token_roots,
    retire_token_root,
)


class RootsRequest(Request):
    """All of them."""


class RotateRootRequest(Request):
    """A new root that signs what is minted from now on."""


class RetireRootRequest(Request):
    """The root by its id."""

    id: Annotated[str, Meta(max_length=36, description="A root's id.")]


class TokenRootFields(Answer):
    """One root; ``retired`` says since when no token of it is good."""

    id: str
    created: Moment
    retired: Moment | UnsetType = UNSET


class TokenRootAnswer(TokenRootFields):
    """One root."""


class TokenRootsAnswer(Answer):
    """The oldest first. The last one that is not retired signs what is minted."""

    roots: list[TokenRootFields]


async def list_roots(kms: Kms, context: Context, request: RootsRequest) -> TokenRootsAnswer:  # noqa: ARG001
    """:raises NoCapability: the caller's token does not cover everything."""
    _require_everything(context)
    roots = await kms.wait(kms.database.read(lambda connection: list_token_roots(connection, kms.rows)))
    return TokenRootsAnswer(roots=[_fields(root) for root in roots])


async def rotate_root(kms: Kms, context: Context, request: RotateRootRequest) -> TokenRootAnswer:  # noqa: ARG001
    """:raises NoCapability: the caller's token does not cover everything.
    :raises Conflict: there are too many that are not retired.
    """
    _require_everything(context)
    await kms.require_fresh()
    fresh = TokenRoot(new_uuid(), SecretKey.generate(), datetime.now(UTC), None)

    def write(connection: Connection) -> datetime:
        newest = fresh._replace(created=after_all(connection, kms.rows, fresh.created))
        with kms.issuer.sealing() as sealing:
            insert_token_root(connection, kms.rows, sealing, newest)
        return newest.created

    try:
        created = await recorded(kms, context, write, lambda _: Fact("rotate-token-root", reason=fresh.id))
    finally:
        fresh.key.release()
    await kms.wait(kms.watcher.look_soon())
    return TokenRootAnswer(id=fresh.id, created=created)


async def retire_root(kms: Kms, context: Context, request: RetireRootRequest) -> TokenRootAnswer:
    """:raises NoCapability: the caller's token does not cover everything.
    :raises NotFound: there is no such root.
    :raises Conflict: it is the newest, or it signs the caller's own token.
    """
    _require_everything(context)
    if request.id == context.caller.root_id:
        raise Conflict(
            "this root signs the token that asks", hint="Mint yourself a token of the newest root, and ask with that."
        )
    await kms.require_fresh()

    def write(connection: Connection) -> tuple[RootDates, bool]:
        before = list_token_roots(connection, kms.rows)
        if before and before[-1].id == request.id:
            raise Conflict("this is the newest root", hint="Rotate the root of tokens first.")
        root = next((root for root in before if root.id == request.id), None)
        if root is None:
            raise NotFound("there is no such root of tokens")
        if root.retired is not None:
            return root, False
        now = datetime.now(UTC)
        retire_token_root(connection, kms.rows, root.id, now)
        return root._replace(retired=now), True

    def fact(made: tuple[RootDates, bool]) -> Fact | None:
        root, now = made
        return Fact("retire-token-root", reason=root.id) if now else None

    retired, _ = await recorded(kms, context, write, fact)
    await kms.wait(kms.watcher.look_soon())
    return TokenRootAnswer(id=retired.id, created=retired.created, retired=retired.retired or UNSET)


def _require_everything(context: Context) -> None:
    if context.caller.listable() != ():
        raise NoCapability("this token does not cover every tenant")


def _fields(root: RootDates) -> TokenRootFields:
    return TokenRootFields(id=root.id, created=root.created, retired=root.retired or UNSET)


OPERATIONS = (
    Operation(
        name="list-token-roots",
        method="GET",
        path="/v1/kms/token-roots",
        scope="kms:admin",
        request=RootsRequest,
        response=TokenRootsAnswer,
        act=list_roots,
        help="The roots of tokens, with their dates. It needs a token without tenant and prefix.",
    ),
    Operation(
        name="rotate-token-root",
        method="POST",
        path="/v1/kms/token-roots",
        scope="kms:admin",
        request=RotateRootRequest,
        response=TokenRootAnswer,
        act=rotate_root,
        help="Make a new root that signs what is minted from now on. It needs a token without tenant and prefix.",
        status=201,
    ),
    Operation(
        name="retire-token-root",
        method="DELETE",
        path="/v1/kms/token-roots/{id}",
        scope="kms:admin",
        request=RetireRootRequest,
        response=TokenRootAnswer,
        act=retire_root,
        help="End every token that a root has signed. It needs a token without tenant and prefix, of another root.",
    ),
)
