"""One row of the table of operations, and what every act is told about the request besides its fields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

import msgspec

from ron_kms.model import Caller, Kid
from ron_kms.service.kms import Kms


class Context(msgspec.Struct):
    """Who asks, under which request id and precondition.

    :ivar alg: the suite, filled in by the act as soon as it is known, for metrics.
    :ivar kid: the version, likewise, for the log; None where there is none or more than one.
    :ivar counted: set by an act that counts its items itself; whoever called it counts the others.
    :ivar if_match: the entity tag that the resource must still have, ``*`` for any; None where none was sent.
    :ivar op_id: the caller's own name of the operation, filled in by acts that take one.
    """

    caller: Caller
    request_id: str
    alg: str = "none"
    kid: Kid | None = None
    counted: bool = False
    if_match: str | None = None
    op_id: str | None = None


class File(msgspec.Struct, frozen=True):
    """An answer that is bytes already.

    ``kept`` says that it never changes, so that whoever has read it need not ask again.
    """

    content: bytes
    media: str
    kept: bool


class Operation(NamedTuple):
    """A verb of the wire.

    :ivar scope: what a token needs to have.
    :ivar request: decoded from the fields that the path names and, for GET, the query; of other methods from the body.
    :ivar response: a field ``etag`` of it is also the answer's ETag.
    :ivar act: does it.
    :ivar help: one or two sentences for people.
    :ivar if_match: whether it changes only what is still as the caller has read it (If-Match, RFC 9110 13.1.1).
    """

    name: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    scope: str
    request: type[msgspec.Struct]
    response: type[msgspec.Struct]
    act: Callable[[Kms, Context, Any], Awaitable[msgspec.Struct]]
    help: str
    status: int = 200
    if_match: bool = False
