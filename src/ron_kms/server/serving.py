"""The server in front of a worker's application: what all of them do, and the one that ``KMS_SERVER`` names."""

from __future__ import annotations

import socket
from typing import Protocol

from ron_kms.config import Settings
from ron_kms.server.granian import installed
from ron_kms.server.guards.limits import Limits
from ron_kms.server.guards.serve import App, Server
from ron_kms.server.tls import files_of, make_context

_ANSWER_SECONDS = 2.0


class Serving(Protocol):
    """A server, from its sockets to its last connection.

    :ivar limits: for connections to come; those that are there keep what they were accepted with.
    """

    limits: Limits

    @property
    def connections(self) -> int:
        """How many are open."""

    async def start(self, *sockets: socket.socket) -> None:
        """Begin to accept on sockets that listen already."""

    def stop_accepting(self) -> None:
        """Take no more connections."""

    async def close(self, seconds: float) -> None:
        """Close the connections: idle ones now, others when they have their answers, all of them after ``seconds``."""


def make_server(app: App, settings: Settings) -> Serving:
    """The server for an application.

    :raises ConfigurationError: it is not installed, or certificates cannot be used.
    """
    limits = limits_of(settings)
    context = make_context(settings)
    if settings.server == "hypercorn":
        return Server(app, limits, context)
    installed.check()
    from ron_kms.server.granian.serve import GranianServer  # noqa: PLC0415 - an extra, loaded where it is chosen

    return GranianServer(app, limits, files_of(settings))


def check_server(settings: Settings) -> None:
    """:raises ConfigurationError: :func:`make_server` would."""
    make_context(settings)
    if settings.server == "granian":
        installed.check()


def limits_of(settings: Settings) -> Limits:
    """What the settings say about connections."""
    return Limits(
        connections=settings.max_connections,
        idle_seconds=settings.idle_seconds,
        # The application refuses a late body with an answer; this is for what it never sees.
        request_seconds=settings.request_seconds + _ANSWER_SECONDS,
        response_seconds=settings.response_seconds,
    )
