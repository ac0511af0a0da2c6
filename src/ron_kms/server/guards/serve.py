"""Listening sockets: who may connect, what their deadlines are, and how serving ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, cast
from wsgiref.handlers import format_date_time

import structlog
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.logging import Logger

from ron_kms.config import Settings
from ron_kms.server.asgi import App
from ron_kms.server.guards.connection import GuardedConnection
from ron_kms.server.guards.limits import Limits, Load
from ron_kms.server.sockets import BACKLOG
from ron_kms.server.tls import make_context
from ron_kms.trace import trace

_log = structlog.get_logger("ron_kms.edge")


class _Log(Logger):
    """Hypercorn's log lines as ours: no request, no message of an exception, for both may quote input."""

    def __init__(self, _config: Config) -> None:
        self.error_logger = None
        self.access_logger = None
        self._told: dict[str, float] = {}
        self._untold = 0

    async def exception(self, message: str, *_args: Any, **_kwargs: Any) -> None:
        """At most once a second, for clients may be able to cause it."""
        now = time.monotonic()
        if now - self._told.get(message, -1.0) < 1.0:
            self._untold += 1
            return
        self._told[message] = now
        _log.error(message, trace=trace(), untold=self._untold)
        self._untold = 0


class _EdgeConfig(Config):
    logger_class: type[Logger] = _Log

    def __init__(self) -> None:
        self._date: tuple[int, list[tuple[bytes, bytes]]] = (0, [])

    def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:  # noqa: ARG002
        """``date`` alone, made once a second; what serves here is nobody's business."""
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, [(b"date", format_date_time(now).encode("ascii"))])
        return self._date[1]


class Server:
    """An ASGI application on sockets that listen already or will.

    :param app: the application; its lifespan is its owner's affair.
    :param tls: serves TLS, plain text otherwise.
    """

    def __init__(self, app: App, limits: Limits, tls: ssl.SSLContext | None = None) -> None:
        self._app = app
        self.limits = limits
        """For connections to come; those that are there keep what they were accepted with."""
        self.load = Load(limits.requests)
        self._tls = tls
        self._config = _EdgeConfig()
        self._config.h11_max_incomplete_size = limits.header_bytes
        self._context = WorkerContext(None)
        self._connections: dict[GuardedConnection, asyncio.Task[None]] = {}
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._renewals: set[asyncio.Task[None]] = set()
        self._stopped = False
        self._sweeper: asyncio.Task[None] | None = None
        self.refused = 0
        """Connections closed because there were too many."""

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def start(self, *sockets: socket.socket) -> None:
        """Begin to accept."""
        self._sockets = list(sockets)
        self._servers = await self._listen()
        self._sweeper = asyncio.create_task(self._sweep())

    async def _listen(self) -> list[asyncio.AbstractServer]:
        """Each socket with the certificates of now, on a copy that may be closed alone."""
        return [
            await asyncio.start_server(
                self._accept,
                sock=sock.dup(),
                backlog=BACKLOG,
                ssl=self._tls,
                ssl_handshake_timeout=self.limits.handshake_seconds if self._tls else None,
            )
            for sock in self._sockets
        ]

    def renewal(self, settings: Settings) -> Callable[[], None]:
        """Read the certificates again; what is returned puts them in force for connections to come.

        :raises ConfigurationError: they cannot be used.
        """
        context = make_context(settings)

        def renew() -> None:
            if context is not None:
                self._tls = context
                task = asyncio.get_running_loop().create_task(self._renew())
                self._renewals.add(task)
                task.add_done_callback(self._renewals.discard)

        return renew

    async def _renew(self) -> None:
        try:
            fresh = await self._listen()
        except OSError:
            _log.error("new certificates could not be put in force", trace=trace())
            return
        old, self._servers = self._servers, fresh
        for server in fresh if self._stopped else old:
            server.close()

    def stop_accepting(self) -> None:
        """Close the listening sockets; connections stay."""
        self._stopped = True
        for server in self._servers:
            server.close()
        for sock in self._sockets:
            sock.close()

    async def close(self, seconds: float) -> None:
        """Close the connections: idle ones now, others when they have their answers, all of them after ``seconds``."""
        self.stop_accepting()
        await self._context.terminated.set()
        for connection in list(self._connections):
            connection.farewell()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=seconds)
        for connection in list(self._connections):
            connection.abort()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=0.2)
        for task in list(self._connections.values()):
            task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._context.terminated.is_set():  # accepted just before the listening sockets were closed
            writer.transport.abort()
            return
        if len(self._connections) >= self.limits.connections:
            self.refused += 1
            writer.transport.abort()
            return
        loop = asyncio.get_running_loop()
        connection = GuardedConnection(
            self.limits, self.load, self._app, loop, self._config, self._context, {}, reader, writer
        )
        self._connections[connection] = cast("asyncio.Task[None]", asyncio.current_task())
        try:
            with contextlib.suppress(asyncio.CancelledError):  # this task ends here in any case
                await connection.run()
        finally:
            del self._connections[connection]

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self.limits.sweep_seconds)
            now = time.monotonic()
            for connection in list(self._connections):
                try:
                    await connection.sweep(now)
                except Exception:  # noqa: BLE001 - the sweep goes on for the others
                    _log.error("a connection's deadlines failed", trace=trace())
                    connection.abort()


__all__ = ["App", "Server"]
