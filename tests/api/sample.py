"""A small table of operations of its own, so that the edge is tested as what it is: generic over the table."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec

from ron_kms.errors import ConfigurationError, InvalidSignature, KmsError, NoCapability, Unauthenticated, codes
from ron_kms.model import NAME_PATTERN, Caller
from ron_kms.service.operation import Context, Operation

Name = Annotated[str, msgspec.Meta(pattern=NAME_PATTERN, description="A name.", examples=["acme"])]


class Thing(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What is asked for."""

    name: Name
    kind: Literal["small", "large"] = "small"
    data: Annotated[bytes, msgspec.Meta(max_length=1 << 20, description="Any bytes.")] = b""
    size: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 1
    labels: Annotated[dict[str, Annotated[str, msgspec.Meta(max_length=16)]], msgspec.Meta(max_length=4)] = {}
    extra: Any = None


class Made(msgspec.Struct):
    """What was made."""

    name: str
    data: bytes
    length: int
    tenant: str | None
    cache_age_ms: int | None = None


class Things(msgspec.Struct, forbid_unknown_fields=True):
    """Many at once."""

    items: Annotated[list[Thing], msgspec.Meta(max_length=1024)]


class Count(msgspec.Struct):
    """How many there were."""

    count: int


class Query(msgspec.Struct, forbid_unknown_fields=True):
    """Which ones to list."""

    prefix: Annotated[str, msgspec.Meta(description="Names begin with it.", examples=["ac"])] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class Listed(msgspec.Struct):
    """Those that were found."""

    prefix: str
    limit: int
    at: datetime


class One(msgspec.Struct, forbid_unknown_fields=True):
    """Which one to read."""

    tenant: Name
    name: Name
    version: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Change(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What to change of one thing."""

    tenant: Name
    number: Annotated[int, msgspec.Meta(ge=1)]
    size: Annotated[int, msgspec.Meta(ge=0, le=1000, description="How large.")] | msgspec.UnsetType | None = (
        msgspec.UNSET
    )
    data: Annotated[bytes, msgspec.Meta(max_length=16, description="Any bytes.")]


class Removal(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which one to remove, and how."""

    tenant: Name
    number: Annotated[int, msgspec.Meta(ge=1)]
    seconds: Annotated[int, msgspec.Meta(ge=7, description="When.")] = 30
    notes: Annotated[dict[str, str], msgspec.Meta(description="Why.")] = {}


class Place(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which one."""

    tenant: Name
    number: Annotated[int, msgspec.Meta(ge=1)]


class Echo(msgspec.Struct):
    """What was understood."""

    fields: dict[str, Any]
    if_match: str | None
    etag: str


class Failing(msgspec.Struct, forbid_unknown_fields=True):
    """How to fail."""

    how: str
    retry_after: int | None = None


class Queue:
    """An engine in which nothing waits but as it is told."""

    def __init__(self) -> None:
        self.micros = 0.0
        self.turns = 0

    def wait_micros(self, tenant: str | None, *, large: bool = False) -> float:
        return self.micros

    async def turn(self) -> None:
        self.turns += 1


class Kms:
    """What the operations act on."""

    def __init__(self) -> None:
        self.queue = Queue()
        self.acted = 0
        self.go = asyncio.Event()


async def make(kms: Kms, context: Context, thing: Thing) -> Made:
    kms.acted += 1
    context.alg = thing.kind
    context.counted = True
    age = 7 if thing.name == "cached" else None
    return Made(thing.name, thing.data, len(thing.data), context.caller.tenant, age)


async def make_many(kms: Kms, context: Context, things: Things) -> Count:
    kms.acted += 1
    return Count(len(things.items))


async def find(kms: Kms, context: Context, query: Query) -> Listed:
    return Listed(query.prefix, query.limit, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


async def read(kms: Kms, context: Context, one: One) -> Made:
    return Made(one.name, b"", one.version or 0, one.tenant)


async def echo(kms: Kms, context: Context, request: msgspec.Struct) -> Echo:
    kms.acted += 1
    fields = msgspec.structs.asdict(request)
    return Echo({k: v for k, v in fields.items() if v is not msgspec.UNSET}, context.if_match, "r-7")


async def fail(kms: Kms, context: Context, failing: Failing) -> Count:
    if failing.how == "wait":
        await kms.go.wait()
        return Count(0)
    error = codes().get(failing.how)
    if error is not None:
        raise error("it was asked for", retry_after=failing.retry_after)
    if failing.how == "unencodable":
        return Count(object())  # type: ignore[arg-type]
    try:
        raise LookupError("the first SECRET")
    except LookupError:
        raise RuntimeError("SECRET input in a message") from None


OPERATIONS = (
    Operation("make", "POST", "/v1/kms/things", "kms:create", Thing, Made, make, "Make a thing.\n\nIt stays.", 201),
    Operation("find", "GET", "/v1/kms/things", "kms:read", Query, Listed, find, "List things."),
    Operation("read", "GET", "/v1/kms/things/{tenant}/{name}", "kms:read", One, Made, read, "Read one thing."),
    Operation(
        "make:batch", "POST", "/v1/kms/things:batch", "kms:create", Things, Count, make_many, "Make many things."
    ),
    Operation(
        "change",
        "PATCH",
        "/v1/kms/changes/{tenant}/{number}",
        "kms:create",
        Change,
        Echo,
        echo,
        "Change a thing.",
        if_match=True,
    ),
    Operation("remove", "DELETE", "/v1/kms/changes/{tenant}/{number}", "kms:create", Removal, Echo, echo, "Remove."),
    Operation(
        "restore", "POST", "/v1/kms/changes/{tenant}/{number}/restore", "kms:create", Place, Echo, echo, "Restore."
    ),
    Operation("show", "GET", "/v1/kms/changes/{tenant}/{number}/shown", "kms:read", Place, Echo, echo, "Show."),
    Operation("fail", "POST", "/v1/kms/fail", "kms:create", Failing, Count, fail, "Fail as asked."),
)


class Checker:
    """Tokens: "all" may do everything for tenant acme, "rated" so three times a second, "of-red" everything for tenant
    red; "reader" may only read."""

    def check(self, token: str, scope: str, now: float) -> Caller:
        both = frozenset(("kms:create", "kms:read"))
        callers = {
            "all": Caller("t1", both, tenant="acme"),
            "reader": Caller("t2", frozenset(("kms:read",))),
            "rated": Caller("t3", both, tenant="acme", rate=3),
        }
        caller = Caller(f"t-{token}", both, tenant=token[3:]) if token.startswith("of-") else callers.get(token)
        if caller is None:
            raise Unauthenticated("the token is not valid")
        if scope not in caller.scopes:
            raise NoCapability("the token lacks the scope")
        return caller


WIRE_CODES: dict[str, type[KmsError]] = {
    code: error for code, error in codes().items() if not issubclass(error, (ConfigurationError, InvalidSignature))
}
