"""One row of the table of operations, and what every act is told about the request besides its fields."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

import msgspec

from ron_kms.model import Caller
from ron_kms.service.kms import Kms


class Context(msgspec.Struct):
    """Who asks and under which request id.

    :ivar alg: the suite, filled in by the act as soon as it is known, for metrics.
    :ivar counted: set by an act that counts its items itself; whoever called it counts the others.
    """

    caller: Caller
    request_id: str
    alg: str = "none"
    counted: bool = False


class Operation(NamedTuple):
    """A verb of the wire.

    :ivar scope: what a token needs to have.
    :ivar request: decoded from the body, or from path and query where the method has no body.
    :ivar act: does it.
    :ivar help: one or two sentences for people.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    scope: str
    request: type[msgspec.Struct]
    response: type[msgspec.Struct]
    act: Callable[[Kms, Context, Any], Awaitable[msgspec.Struct]]
    help: str
    status: int = 200
