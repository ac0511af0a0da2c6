"""A listener on Granian: its limits, its certificates, and how serving ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import structlog
from granian import _futures, _granian
from granian.http import HTTP1Settings, HTTP2Settings

from ron_kms.config import Settings
from ron_kms.errors import ConfigurationError
from ron_kms.server.asgi import App
from ron_kms.server.granian.sockets import Sweeper
from ron_kms.server.guards.limits import Limits
from ron_kms.server.sockets import BACKLOG
from ron_kms.server.tls import Files, files_of, make_context
from ron_kms.trace import trace

# Neither says its types, or not as they are.
_native: Any = _granian
_scheduler: Any = _futures._new_cbscheduler

_log = structlog.get_logger("ron_kms.edge")

_STREAM_WINDOW = 128 * 1024
_CONNECTION_WINDOW = 512 * 1024
"""What one connection may have sent of bodies that nobody has read yet."""
_SEND_BUFFER = 256 * 1024
_FLUSH_SECONDS = 0.1


class GranianServer:
    """An ASGI application on sockets that listen already.

    :param app: the application; its lifespan is its owner's affair.
    :param tls: serves TLS, plain text otherwise.
    """

    def __init__(self, app: App, limits: Limits, tls: Files | None = None) -> None:
        self._app = app
        self._limits = limits
        self._tls = tls
        self._stamp = tls.stamp() if tls else None
        self._swapping: asyncio.Handle | None = None
        self._listeners: list[Listener] = []
        self._sockets: list[socket.socket] = []
        self._leaving: set[asyncio.Future[None]] = set()
        self._closing = False
        self._sweeper: asyncio.Task[None] | None = None
        self.connections = 0
        """As of the last sweep."""

    def _listen(self, sock: socket.socket) -> Listener:
        return Listener(asyncio.get_running_loop(), self._call, sock, self._limits, self._tls)

    async def start(self, *sockets: socket.socket) -> None:
        """Begin to accept."""
        _silence()
        self._sockets = list(sockets)
        self._listeners = [self._listen(sock) for sock in sockets]
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def limits(self) -> Limits:
        """For connections to come; setting them has those that are open finish their requests and be closed."""
        return self._limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._limits = limits
        self._swap_soon()

    def renewal(self, settings: Settings) -> Callable[[], None]:
        """Look at the certificates again; where they are others, what is returned puts them in force for new
        connections. Those that are open finish their requests and are closed.

        :raises ConfigurationError: they cannot be used.
        """
        tls = files_of(settings)
        if tls is None or tls.stamp() == self._stamp:
            return lambda: None
        stamp = tls.stamp()
        make_context(settings)

        def renew() -> None:
            self._tls, self._stamp = tls, stamp
            self._swap_soon()

        return renew

    def _swap_soon(self) -> None:
        """New listeners in place of the old, once for all that has changed in this turn of the loop."""
        if self._listeners and self._swapping is None:
            self._swapping = asyncio.get_running_loop().call_soon(self._swap)

    def _swap(self) -> None:
        self._swapping = None
        if self._closing:
            return
        fresh: list[Listener] = []
        try:
            for sock in self._sockets:
                fresh.append(self._listen(sock))  # noqa: PERF401 - may be cut short
        except (ConfigurationError, OSError) as error:
            _log.error("new listeners could not be made: the old ones stay", trace=trace(error))
            for listener in fresh:
                listener.stop()
            return
        old, self._listeners = self._listeners, fresh
        for listener in old:
            listener.stop()
            self._leaving.add(listener.ended)
            listener.ended.add_done_callback(self._leaving.discard)

    def stop_accepting(self) -> None:
        """Left to :meth:`close`: Granian can only stop with a GOAWAY to all, after which some clients, ``h2`` of
        Python among them, take no answer. Until then who connects is told by the application that it is stopping."""

    async def close(self, seconds: float) -> None:
        """Accept no more, and wait for the connections to finish, at most this long; the process's end closes the
        others."""
        # What the application has answered is on its way through Rust: GOAWAY must not overtake it.
        await asyncio.sleep(min(_FLUSH_SECONDS, seconds))
        self._closing = True
        for listener in self._listeners:
            listener.stop()
        for sock in self._sockets:
            sock.close()
        ending = [*(listener.ended for listener in self._listeners), *self._leaving]
        if ending:
            await asyncio.wait(ending, timeout=seconds)
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _call(self, watcher: Any) -> None:
        """One request."""
        try:
            await self._app(watcher.scope, watcher.proto.receive, watcher.proto.send)
        except Exception as error:  # noqa: BLE001 - the border of the application
            _log.error("the application failed", trace=trace(error))
            watcher.err(error)
        except BaseException as error:
            watcher.err(error)
            raise
        else:
            watcher.done()

    async def _sweep(self) -> None:
        sweepers = [Sweeper(sock.getsockname()[1]) for sock in self._sockets]
        while True:
            limits = self._limits
            # A body on its way is the application's to time; a connection is not idle before that.
            idle = max(limits.idle_seconds, limits.request_seconds)
            count = 0
            for sweeper in sweepers:
                count += await asyncio.to_thread(sweeper.sweep, time.monotonic(), idle, limits.response_seconds)
            self.connections = count
            await asyncio.sleep(limits.sweep_seconds)


class Listener:
    """One socket with the certificates that it was begun with."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, call: Any, sock: socket.socket, limits: Limits, tls: Files | None
    ) -> None:
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the last connection is."""
        self._signal = _native.WorkerSignal()
        self._signal.add_cb(self._tell_end(loop))
        self._stopped = False
        # Granian closes what it is given.
        descriptor = os.dup(sock.fileno())
        try:
            worker = _native.ASGIWorker(
                worker_id=1,
                sock=(None, _native.SocketHolder(descriptor, False, BACKLOG)),
                ipc=None,
                threads=1,
                blocking_threads=1,
                py_threads=1,
                backpressure=limits.connections,
                http_mode="auto",
                http1_opts=HTTP1Settings(
                    header_read_timeout=int(limits.request_seconds * 1000),
                    max_buffer_size=max(limits.header_bytes, 8192),  # hyper takes no less
                ),
                http2_opts=HTTP2Settings(
                    initial_connection_window_size=_CONNECTION_WINDOW,
                    initial_stream_window_size=_STREAM_WINDOW,
                    max_concurrent_streams=limits.streams,
                    max_headers_size=limits.header_bytes,
                    max_send_buffer_size=_SEND_BUFFER,
                ),
                ssl_enabled=tls is not None,
                ssl_cert=str(tls.cert) if tls else None,
                ssl_key=str(tls.key) if tls else None,
                ssl_protocol_min="tls1.3",
                ssl_ca=str(tls.client_ca) if tls and tls.client_ca else None,
                ssl_client_verify=bool(tls and tls.client_ca),
                metrics=(None, None),
            )
            worker.serve_async(_scheduler(loop, call, impl_asyncio=True), loop, self._signal)
        except BaseException as error:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            # Rust's panics are no Exceptions. ``trial.py`` has found out before, unless the files changed since.
            if type(error).__name__ != "PanicException":
                raise
            raise ConfigurationError("Granian's TLS cannot use tls_cert, tls_key or tls_client_ca") from None

    def stop(self) -> None:
        """Accept no more; tell the connections to finish."""
        if not self._stopped:
            self._stopped = True
            self._signal.set()

    def _tell_end(self, loop: asyncio.AbstractEventLoop) -> Any:
        def end() -> None:
            if not self.ended.done():
                self.ended.set_result(None)

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(end)

        return tell


def _silence() -> None:
    """Granian's own log lines may quote input; what matters is logged here."""
    logger = logging.getLogger("_granian")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
