"""What requests travel by: a module here for each, found by its name.

A transport has ``prepare`` (a request, made once and sent often) and ``connect`` (a connection that sends them and
tells of their ends). One that is to come is named here; its module is all that it needs.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any, Protocol, cast

from perf.load.later import load
from perf.load.wire import Connection, Done, Request

LATER = ("grpc",)


class Transport(Protocol):
    """What a module here has."""

    def prepare(
        self, address: tuple[str, int], token: str, path: str, content: Mapping[str, Any], name: str
    ) -> Request:
        """A call as it goes out."""

    def connect(
        self, address: tuple[str, int], streams: int, done: Done, tls: ssl.SSLContext | None = None
    ) -> Connection:
        """A connection with so many requests under way at most."""


def find(name: str) -> Transport:
    """:raises NotYet: it has not come."""
    return cast("Transport", load(__name__, name, LATER))
