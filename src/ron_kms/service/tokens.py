"""tokens: what a token's holder hands on (mint), what is out there (list), and what is to be refused (revoke).

Minting takes no ``op_id``: to give the first answer again it would have to be kept, and with it a credential. A client
that has lost an answer finds the token in the list by its label, revokes it and mints another.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ron_kms.capabilities.caveats import RATE_MAX, SCOPES
from ron_kms.errors import BadRequest, NoCapability, NotFound, Unauthenticated
from ron_kms.model import Caller, is_uuid7, new_uuid
from ron_kms.service.audit import Fact, recorded
from ron_kms.service.kms import Kms
from ron_kms.service.operation import Context, Operation
from ron_kms.service.schema import Answer, Moment, Name, Request
from ron_kms.store.database import Connection
from ron_kms.store.minted import Minted, find_minted, insert_minted, list_minted, minted_with
from ron_kms.store.revocations import Revocation, find_revocations, require_room, revoke
from ron_kms.store.tokens import after_all, require_live

LIFETIME = timedelta(days=90)
"""Of a token for which nothing else is asked."""

PAGE_MAX = 1000

REVOKED_MAX = 1000
"""Tokens that one call revokes, at 0.3 ms each of the one that writes to the store."""

Scope = Literal[SCOPES]  # type: ignore[valid-type] # the grammar of tokens has the only list of them
TokenId = Annotated[str, Meta(max_length=36, description="A token's id, a UUID of version 7.")]


class MintRequest(Request):
    """What the new token may do. It never may what the minter's own may not."""

    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=len(SCOPES), examples=[["kms:sign", "kms:verify"]])]
    tenant: Annotated[Name, Meta(description="The one tenant that it covers; the minter's where it is left out.")] | (
        UnsetType
    ) = UNSET
    prefix: (
        Annotated[
            str,
            Meta(
                max_length=170,
                description="Whole segments of a kid that it covers: `<tenant>`, `<tenant>/<purpose>` or all three.",
            ),
        ]
        | UnsetType
    ) = UNSET
    expires: (
        Annotated[
            Moment | None,
            Meta(description="Not valid at or after this moment; in 90 days where it is left out, `null` for never."),
        ]
        | UnsetType
    ) = UNSET
    rate: Annotated[int, Meta(ge=1, le=RATE_MAX, description="Operations a second.")] | UnsetType = UNSET
    label: Annotated[str, Meta(max_length=200, description="A note for the list: who has it, what for.")] = ""


class ListTokensRequest(Request):
    """Pages of tokens, the oldest first."""

    after: Annotated[TokenId, Meta(description="The `next` of the page before.")] | UnsetType = UNSET
    limit: Annotated[int, Meta(ge=1, le=PAGE_MAX, description="Tokens a page, 100 where it is left out.")] = 100


class RevokeRequest(Request):
    """The token by its id, which those narrowed from it have too."""

    id: TokenId
    descendants: Annotated[
        bool, Meta(description="Revoke what was minted with it too, what was minted with that, and so on.")
    ] = False


class TokenFields(Answer):
    """A token without what makes it one. What is left out is not restricted.

    ``root`` is the id of the root that signs it, ``minted_by`` that of the token which asked for it.
    """

    id: str
    scopes: list[str]
    label: str
    root: str
    created: Moment
    tenant: str | UnsetType = UNSET
    prefix: str | UnsetType = UNSET
    expires: Moment | UnsetType = UNSET
    rate: int | UnsetType = UNSET
    minted_by: str | UnsetType = UNSET


class MintAnswer(TokenFields, kw_only=True):
    """The token, this once: it is kept nowhere."""

    token: str


class TokenSummary(TokenFields):
    """A token; ``revoked`` says since when it is refused."""

    revoked: Moment | UnsetType = UNSET


class ListTokensAnswer(Answer):
    """``next`` is there where more tokens may follow: ask again with it as ``after``."""

    tokens: list[TokenSummary]
    next: str | UnsetType = UNSET


class RevokeAnswer(Answer):
    """Since when it is refused, and how many tokens this call has revoked, those minted with it among them.

    ``more`` says that there are still others among these: ask again.
    """

    id: str
    revoked: Moment
    count: int
    more: bool = False


async def mint(kms: Kms, context: Context, request: MintRequest) -> MintAnswer:
    """:raises NoCapability: the minter's token has not got the scopes, or does not cover tenant and prefix.
    :raises BadRequest: the prefix is not made of whole segments, a scope is there twice, or it would be expired.
    :raises Conflict: its tenant has too many, or there is no root.
    :raises Unauthenticated: the minter's token was just revoked.
    """
    await kms.require_fresh()
    caller, now = context.caller, datetime.now(UTC)
    if not caller.scopes.issuperset(request.scopes):
        raise NoCapability("this token cannot give scopes that it has not got")
    reach, expires, rate = _reach(caller, request), _expires(caller, request, now), _rate(caller, request)
    token_id = new_uuid()
    token, root_id = kms.issuer.mint(token_id, scopes=request.scopes, reach=reach, expires=expires, rate=rate)
    scopes = tuple(scope for scope in SCOPES if scope in request.scopes)
    minted = Minted(token_id, reach, scopes, rate, expires, root_id, caller.token_id, request.label, now)

    def write(connection: Connection) -> Minted:
        # A revocation that this process has not heard of yet: what is minted after it would escape it.
        if find_revocations(connection, kms.rows, [caller.token_id]):
            raise Unauthenticated("the token is not valid")
        require_live(connection, kms.rows, root_id)
        # Also where the clock was set back: what is older than the first root that signs is taken off the list.
        entered = minted._replace(created=after_all(connection, kms.rows, now))
        insert_minted(connection, kms.rows, entered)
        return entered

    fact = Fact("mint-token", reach[0] if reach else None, reason=token_id)
    entered = await recorded(kms, context, write, lambda _: fact)
    return MintAnswer(token=token, **_fields(entered))


async def list_tokens(kms: Kms, context: Context, request: ListTokensRequest) -> ListTokensAnswer:
    """Tokens that cover more than the caller's are not there for it."""
    reach = context.caller.listable()
    if reach is None:
        return ListTokensAnswer(tokens=[])
    after = None if request.after is UNSET else request.after

    def read(connection: Connection) -> tuple[list[Minted], dict[str, Revocation]]:
        page = list_minted(connection, kms.rows, reach, after, request.limit)
        return page, find_revocations(connection, kms.rows, [minted.id for minted in page])

    page, revoked = await kms.wait(kms.database.read(read))
    return ListTokensAnswer(
        tokens=[
            TokenSummary(**_fields(one), revoked=revoked[one.id].revoked if one.id in revoked else UNSET)
            for one in page
        ],
        next=page[-1].id if len(page) == request.limit else UNSET,
    )


async def revoke_token(kms: Kms, context: Context, request: RevokeRequest) -> RevokeAnswer:
    """Every worker refuses it within a second, this one when it answers.

    A caller that covers everything may also name an id that is not listed, of a token from elsewhere.

    :raises NotFound: there is no such token, or the caller's does not cover all that it covers.
    :raises Conflict: too many that are not listed are revoked.
    """
    reach, token_id = context.caller.listable(), request.id
    if reach is None or not is_uuid7(token_id):
        raise _no_such_token()
    await kms.require_fresh()

    def write(connection: Connection) -> tuple[RevokeAnswer, str]:
        now = datetime.now(UTC)
        first = find_minted(connection, kms.rows, token_id)
        if reach and (first is None or first.reach[: len(reach)] != reach):
            raise _no_such_token()
        tenant = "" if first is None else first.tenant
        wanted = {token_id: (tenant, None if first is None else first.expires)}
        if request.descendants:
            for minted in minted_with(connection, kms.rows, token_id):
                wanted[minted.id] = minted.tenant, minted.expires
        known = find_revocations(connection, kms.rows, list(wanted))
        if first is None and token_id not in known:
            require_room(connection)
        left = [one for one in wanted if one not in known]
        by_tenant: dict[str, list[Revocation]] = {}
        for one in left[:REVOKED_MAX]:
            of, until = wanted[one]
            by_tenant.setdefault(of, []).append(Revocation(one, now, context.caller.token_id, until))
        for of, entered in by_tenant.items():
            revoke(connection, kms.rows, of, entered)
        since = known[token_id].revoked if token_id in known else now
        done = min(len(left), REVOKED_MAX)
        return RevokeAnswer(id=token_id, revoked=since, count=done, more=done < len(left)), tenant

    def fact(made: tuple[RevokeAnswer, str]) -> Fact | None:
        count, tenant = made[0].count, made[1] or None
        more = f" and {count - 1} more" if count > 1 else ""
        return Fact("revoke-token", tenant, reason=f"{token_id}{more}") if count else None

    answer, _ = await recorded(kms, context, write, fact)
    await kms.wait(kms.watcher.look_soon())
    return answer


def _reach(caller: Caller, request: MintRequest) -> tuple[str, ...]:
    """The kid prefix that is asked for, within the minter's."""
    asked = () if request.prefix is UNSET else tuple(request.prefix.split("/"))
    if len(asked) > 3 or (request.prefix is not UNSET and not all(asked)):
        raise BadRequest("a prefix is one to three whole segments of a kid")
    if request.tenant is not UNSET:
        if asked and asked[0] != request.tenant:
            raise BadRequest("the prefix is of another tenant than the one that is asked for")
        asked = asked or (request.tenant,)
    reach = caller.listable(asked)
    if reach is None or (asked and reach != asked):
        raise NoCapability("this token does not cover the tenant or prefix that is asked for")
    return reach


def _expires(caller: Caller, request: MintRequest, now: datetime) -> datetime | None:
    """When the new token expires: as is asked for, and not after the minter's."""
    asked = now + LIFETIME if request.expires is UNSET else request.expires
    if caller.expires is not None:
        own = datetime.fromtimestamp(int(caller.expires), UTC)
        asked = own if asked is None else min(asked, own)
    if asked is None:
        return None
    try:
        asked = asked.astimezone(UTC).replace(microsecond=0)
    except OverflowError:
        raise BadRequest("the expiry is outside the years 1 to 9999") from None
    if asked <= now:
        raise BadRequest("the token would have expired already")
    return asked


def _rate(caller: Caller, request: MintRequest) -> int | None:
    rates = [rate for rate in (caller.rate, None if request.rate is UNSET else request.rate) if rate is not None]
    return min(rates, default=None)


def _fields(minted: Minted) -> dict[str, Any]:
    """The fields of :class:`TokenFields`."""
    return {
        "id": minted.id,
        "scopes": list(minted.scopes),
        "label": minted.label,
        "root": minted.root_id,
        "created": minted.created,
        "tenant": minted.tenant or UNSET,
        "prefix": "/".join(minted.reach) if len(minted.reach) > 1 else UNSET,
        "expires": UNSET if minted.expires is None else minted.expires,
        "rate": UNSET if minted.rate is None else minted.rate,
        "minted_by": minted.minted_by or UNSET,
    }


def _no_such_token() -> NotFound:
    """The one answer for a token that does not exist and for one that the caller's does not cover."""
    return NotFound("there is no such token, or this one does not cover it")


OPERATIONS = (
    Operation(
        name="mint-token",
        method="POST",
        path="/v1/kms/tokens",
        scope="kms:admin",
        request=MintRequest,
        response=MintAnswer,
        act=mint,
        help="Mint a token, at most as mighty as the one that asks. It is answered once and kept nowhere.",
        status=201,
    ),
    Operation(
        name="list-tokens",
        method="GET",
        path="/v1/kms/tokens",
        scope="kms:admin",
        request=ListTokensRequest,
        response=ListTokensAnswer,
        act=list_tokens,
        help="List what was minted and is not expired, page by page; only tokens that cover no more than the caller's.",
    ),
    Operation(
        name="revoke-token",
        method="DELETE",
        path="/v1/kms/tokens/{id}",
        scope="kms:admin",
        request=RevokeRequest,
        response=RevokeAnswer,
        act=revoke_token,
        help="Have a token refused, with all that were narrowed from it, by every worker within a second.",
    ),
)
