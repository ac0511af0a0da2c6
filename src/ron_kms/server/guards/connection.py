"""One connection from accept to close."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.protocol.h11 import H2ProtocolAssumedError
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from ron_kms.server.guards.http2 import GuardedH2
from ron_kms.server.guards.http11 import GuardedH11
from ron_kms.server.guards.limits import READ_BYTES, Limits, Load
from ron_kms.server.guards.stream import HIGH_WATER


class GuardedConnection(TCPServer):
    """Hypercorn's connection, with deadlines kept by one sweep over all connections instead of a task for each.

    Writing never waits for another writer, so frames leave in the order in which the protocol made them; a client that
    does not take what was written within ``response_seconds`` is cut off.
    """

    def __init__(self, limits: Limits, load: Load, *args: Any) -> None:
        super().__init__(*args)
        self.limits = limits
        self._load = load
        self._guarded: GuardedH2 | GuardedH11 | None = None
        self._closing = False
        self._cut_at: float | None = None
        self._polite = False
        """Whether what was written is not to be cut off as long as the client takes it."""
        self._gone_since: float | None = None
        """When the client closed its side, or we ours."""
        self._flushing: asyncio.Handle | None = None
        self._task: asyncio.Task[None] | None = None
        self._idle_since: float | None = time.monotonic()
        self._written = 0
        self._mark: tuple[int, float] | None = None
        """How many bytes the client should have taken, and since when it has been waited for."""

    async def run(self) -> None:
        transport = self.writer.transport
        # Over TLS it would be half a MiB, and whoever waits for less than that would wait in vain.
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._task = asyncio.current_task()
        try:
            socket = self.writer.get_extra_info("socket")
            tls = self.writer.get_extra_info("ssl_object")
            # Before the group, which would wrap what they raise for a client that has gone already.
            client, server = socket.getpeername(), socket.getsockname()
            async with TaskGroup(self.loop) as task_group:
                self._arguments = (
                    self.app,
                    self.config,
                    self.context,
                    task_group,
                    ConnectionState(self.state),
                    tls is not None,
                    parse_socket_addr(socket.family, client),
                    parse_socket_addr(socket.family, server),
                    self.protocol_send,
                )
                if tls is not None and tls.selected_alpn_protocol() == "h2":
                    await self._speak_h2(b"")
                else:
                    self._guarded = GuardedH11(self.limits, *self._arguments)
                await self._read_data()
        except OSError:
            pass  # the client is gone
        except asyncio.CancelledError:
            transport.abort()
            raise
        except Exception:  # noqa: BLE001 - one connection's failure stays its own
            await self.config.log.exception("a connection failed")
            transport.abort()
        finally:
            if isinstance(self._guarded, GuardedH2):
                self._guarded.forget()
            self.writer.close()
            with contextlib.suppress(OSError, RuntimeError):
                await self.writer.wait_closed()

    async def _speak_h2(self, data: bytes) -> None:
        protocol = GuardedH2(self.limits, self._load, self, *self._arguments)
        self._guarded = protocol
        self._idle_since = time.monotonic()
        await protocol.initiate()
        if data:
            await protocol.handle(RawData(data))

    async def _read_data(self) -> None:
        while True:
            try:
                # Who does not take its answers asks for no more: an answered HTTP/2 stream is one less, so their number
                # alone bounds nothing.
                await self.writer.drain()
                data = await self.reader.read(READ_BYTES)
            except OSError:
                data = b""
            if not self._closing:
                await self._handle(RawData(data))
            if not data:
                break
        self._gone_since = time.monotonic()
        await self._handle(Closed())

    async def _handle(self, event: Event) -> None:
        if self._guarded is None:
            return
        try:
            await self._guarded.handle(event)
        except H2ProtocolAssumedError as assumed:
            await self._speak_h2(assumed.data)

    async def protocol_send(self, event: Event) -> None:
        if isinstance(event, RawData):
            await self._write(event.data)
        elif isinstance(event, Updated):
            self._idle_since = time.monotonic() if event.idle else None
            if event.idle:
                self._shut_if_wanted()
        elif isinstance(event, Closed):
            self._shut()

    async def _write(self, data: bytes) -> None:
        if self._closing or self.writer.transport.is_closing():
            return
        self.writer.write(data)
        self._written += len(data)
        with contextlib.suppress(OSError, RuntimeError):  # the reader sees the end too, and tells the protocol
            await self.writer.drain()

    def _shut_if_wanted(self) -> None:
        """Close, now that nothing is under way, if one of both sides is leaving."""
        if isinstance(self._guarded, GuardedH2) and (self._guarded.leaving or self.context.terminated.is_set()):
            # Its window updates for what is still on its way would meet a closed socket, and take the rest with them.
            self._guarded.linger = self._polite = True
            self._shut()
        elif self.context.terminated.is_set():
            self._shut()

    def _shut(self) -> None:
        """Close, after what was written; a client that still sends may first read why."""
        if self._closing:
            return
        self._flush_now()
        self._closing = True
        if self._guarded is not None and self._guarded.linger and self.writer.can_write_eof():
            self._cut_at = time.monotonic() + self.limits.linger_seconds
            try:
                self.writer.write_eof()
            except (OSError, RuntimeError):
                self.writer.close()
        else:
            self.writer.close()

    def farewell(self) -> None:
        """Close as soon as nothing is under way here."""
        if self._guarded is None or self._guarded.idle:
            self._goaway()
            self._shut()

    def abort(self) -> None:
        """Close now, whatever is under way."""
        self.writer.transport.abort()

    def _goaway(self) -> None:
        if isinstance(self._guarded, GuardedH2):
            self._guarded.farewell()
            self._flush_now()

    async def room(self) -> None:
        """Wait until the client has taken most of what it was sent."""
        transport = self.writer.transport
        while isinstance(self._guarded, GuardedH2) and not transport.is_closing():
            if transport.get_write_buffer_size() + self._guarded.connection.pending <= HIGH_WATER:
                return
            self._flush_now()
            with contextlib.suppress(OSError, RuntimeError):  # the client is gone
                await self.writer.drain()
            # Whatever a transport thinks of its own buffer: to wait is to let the others have their turn.
            await asyncio.sleep(0)

    def flush_soon(self) -> None:
        """Have what is ready written when this turn of the loop is over."""
        if self._flushing is None:
            self._flushing = self.loop.call_soon(self._flush_now)

    def _flush_now(self) -> None:
        self._flushing = None
        if isinstance(self._guarded, GuardedH2) and not (self._closing or self.writer.transport.is_closing()):
            data = self._guarded.connection.data_to_send()
            if data:
                self.writer.write(data)
                self._written += len(data)

    async def sweep(self, now: float) -> None:
        """Enforces every deadline of this connection; never waits for the client."""
        # Nobody may be reading just now, while a request before is being answered.
        if self._gone_since is None and (self.writer.transport.is_closing() or self.reader._eof):  # type: ignore[attr-defined]
            self._gone_since = now
        if self._gone_since is not None and now - self._gone_since > self.limits.response_seconds:
            # An application that goes on for nobody must not hold a place among the connections for ever.
            self.abort()
            if self._task is not None:
                self._task.cancel()
        elif self._lingers_too_long(now) or self._stuck(now):
            self.abort()
        elif self._guarded is not None and not self._closing:
            await self._guarded.sweep(now)
            self._flush_now()
            if self._idle_since is not None and now - self._idle_since > self.limits.idle_seconds:
                self._goaway()
                self._shut()

    def _lingers_too_long(self, now: float) -> bool:
        if self._cut_at is None or now <= self._cut_at:
            return False
        return not self._polite or self.writer.transport.get_write_buffer_size() == 0

    def _stuck(self, now: float) -> bool:
        """Whether what was written has waited too long for the client to take it, a byte at a time or not at all."""
        waiting = self.writer.transport.get_write_buffer_size()
        if waiting == 0:
            self._mark = None
        elif self._mark is None or self._written - waiting >= self._mark[0]:
            self._mark = (self._written, now)
        elif now - self._mark[1] > self.limits.response_seconds:
            return True
        return False
