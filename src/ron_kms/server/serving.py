"""The server in front of a worker's application: what all of them do, and the one that ``KMS_SERVER`` names."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from ron_kms.config import Address, Settings
from ron_kms.errors import ConfigurationError
from ron_kms.server.asgi import App
from ron_kms.server.granian import installed
from ron_kms.server.granian.trial import check_files
from ron_kms.server.guards.limits import Limits
from ron_kms.server.tls import files_of, make_context
from ron_kms.server.tls_groups import X25519MLKEM768, offers

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

    def renewal(self, settings: Settings) -> Callable[[], None]:
        """Read the certificates again; what is returned puts them in force for connections to come.

        :raises ConfigurationError: they cannot be used.
        """

    def stop_accepting(self) -> None:
        """Take no more connections."""

    async def close(self, seconds: float) -> None:
        """Close the connections: idle ones now, others when they have their answers, all of them after ``seconds``."""


def make_server(app: App, settings: Settings) -> Serving:
    """The server for an application.

    :raises ConfigurationError: it is not installed, or certificates cannot be used.
    """
    limits = limits_of(settings)
    # A worker holds the modules of the one that was chosen.
    if settings.server == "hypercorn":
        from ron_kms.server.guards.serve import Server  # noqa: PLC0415

        return Server(app, limits, make_context(settings))
    installed.check()
    from ron_kms.server.granian.serve import GranianServer  # noqa: PLC0415

    make_context(settings)
    return GranianServer(app, limits, files_of(settings))


def check_server(settings: Settings) -> None:
    """:raises ConfigurationError: the server is not installed, or certificates cannot be used."""
    make_context(settings)
    if settings.server == "granian":
        installed.check()
        if (files := files_of(settings)) is not None:
            check_files(files)


def key_exchange(settings: Settings, address: Address) -> bool:
    """Whether X25519MLKEM768 is in force, as a client finds it.

    :param address: of the listener, which accepts already.
    :raises ConfigurationError: it is not, and is required.
    """
    if not settings.tls:
        return False
    try:
        found = offers(address, X25519MLKEM768)
    except OSError:
        found = False
    if settings.tls_pq == "require" and not found:
        library = f"Python's {ssl.OPENSSL_VERSION}" if settings.server == "hypercorn" else "Granian's rustls"
        raise ConfigurationError(
            f"tls_pq is 'require', and X25519MLKEM768 cannot be had of {library}",
            hint="OpenSSL has it from 3.5 on, with the server hypercorn; or a proxy in front of the service.",
        )
    return found


def limits_of(settings: Settings) -> Limits:
    """What the settings say about connections."""
    return Limits(
        connections=settings.max_connections,
        idle_seconds=settings.idle_seconds,
        # The application refuses a late body with an answer; this is for what it never sees.
        request_seconds=settings.request_seconds + _ANSWER_SECONDS,
        response_seconds=settings.response_seconds,
    )
