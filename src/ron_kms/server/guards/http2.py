"""HTTP/2: one stream's trouble stays in that stream, and a flood ends its own connection only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote

import h2.events
import h2.exceptions
import h2.settings
from h2.errors import ErrorCodes
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Response, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.utils import filter_pseudo_headers

from ron_kms.server.guards.frames import Connection, Whole
from ron_kms.server.guards.headers import Block
from ron_kms.server.guards.limits import Budget, Limits, Load
from ron_kms.server.guards.stream import PIECE_BYTES, Asked, GuardedStream, Inbox

_COSTS: dict[type[h2.events.Event], float] = {
    h2.events.PingReceived: Budget.CONTROL,
    h2.events.PingAckReceived: Budget.CONTROL,
    h2.events.RemoteSettingsChanged: Budget.CONTROL,
    h2.events.SettingsAcknowledged: Budget.CONTROL,
    h2.events.PriorityUpdated: Budget.CONTROL,
    h2.events.UnknownFrameReceived: Budget.CONTROL,
    h2.events.WindowUpdated: Budget.WINDOW,
    h2.events.StreamReset: Budget.RESET,
    h2.events.ConnectionTerminated: Budget.CONTROL,
}


class Writer(Protocol):
    """The connection, as far as answers need it."""

    async def room(self) -> None:
        """Wait until the client has taken most of what it was sent."""

    def flush_soon(self) -> None:
        """Have what is ready written when this turn of the loop is over."""


class GuardedH2(H2Protocol):
    """Hypercorn's HTTP/2 with deadlines, budgets and early answers that do no harm."""

    def __init__(self, limits: Limits, load: Load, writer: Writer, *args: Any) -> None:
        super().__init__(*args)
        self._load = load
        self._writer = writer
        self.limits = limits
        self.budget = Budget()
        self.connection: Connection = Connection(limits, self.budget)
        self.linger = False
        self.leaving = False
        """Whether the client has said that it begins nothing more."""
        self._arriving: dict[int, float] = {}
        """Streams whose body is not complete, and since when."""
        self._answering: dict[int, float] = {}
        """Streams whose answer is not complete, and since when."""
        self._discarding: dict[int, int] = {}
        """Streams answered before their body ended, and how much more of it will be thrown away."""

    @property
    def reading_since(self) -> float | None:
        return None

    async def handle(self, event: Any) -> None:
        if not isinstance(event, RawData):
            await super().handle(event)
            return
        if self.closed:
            return
        try:
            events = self.connection.receive_data(event.data)
            self.connection.check_header_block()
        except h2.exceptions.ProtocolError:
            self.linger = True
            await self._flush()
            await self.send(Closed())
            return
        if not self._affordable(events):
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())
            return
        await self._handle_events(events)

    def _affordable(self, events: list[Any]) -> bool:
        connection = self.connection
        cost = connection.refused * Budget.REFUSED + connection.late
        connection.refused, connection.late = 0, 0.0
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                cost += Budget.CONTROL if not event.data and event.stream_ended is None else 0.0
            else:
                cost += _COSTS.get(type(event), 0.0)
        return cost == 0.0 or self.budget.spend(cost)

    async def _handle_events(self, events: list[Any]) -> None:
        reset = {event.stream_id for event in events if isinstance(event, h2.events.StreamReset)}
        now = time.monotonic()
        for event in events:
            if isinstance(event, Whole):
                await self._begin_whole(event, reset)
            elif isinstance(event, h2.events.RequestReceived):
                if event.stream_id not in reset:
                    await self._begin(event, now)
            elif isinstance(event, h2.events.DataReceived):
                await self._data(event)
            elif isinstance(event, h2.events.StreamEnded):
                self._arriving.pop(event.stream_id, None)
                self._discarding.pop(event.stream_id, None)
                if (stream := self.streams.get(event.stream_id)) is not None:
                    await stream.handle(EndBody(stream_id=event.stream_id))
            elif isinstance(event, h2.events.StreamReset):
                await self._close_stream(event.stream_id)
                await self._window_updated(event.stream_id)
                await self._rest()
            elif isinstance(event, h2.events.WindowUpdated):
                await self._window_updated(event.stream_id)
            elif isinstance(event, h2.events.RemoteSettingsChanged):
                if h2.settings.SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                    await self._window_updated(None)
            elif isinstance(event, h2.events.ConnectionTerminated):
                await self._goodbye(event)
        await self._flush()

    async def _goodbye(self, event: h2.events.ConnectionTerminated) -> None:
        if event.error_code:
            await self.send(Closed())
        else:
            self.leaving = True
            await self._rest()

    async def _begin(self, event: h2.events.RequestReceived, now: float) -> None:
        if self.context.terminated.is_set() or not self._load.room(len(self.streams)):
            await self._reset(event.stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if event.stream_ended is None:
            self._arriving[event.stream_id] = now
        try:
            await self._create_stream(event)
        except ValueError:  # a method or a path that is not ASCII
            await self._reset(event.stream_id, ErrorCodes.PROTOCOL_ERROR)

    async def _begin_whole(self, whole: Whole, reset: Collection[int]) -> None:
        if whole.stream_id in reset:
            self.connection.give_back(len(whole.body))
        elif self.context.terminated.is_set() or not self._load.room(len(self.streams)):
            self.connection.give_back(len(whole.body))
            await self._reset(whole.stream_id, ErrorCodes.REFUSED_STREAM)
        else:
            await self._open(whole.stream_id, whole.request, Inbox(self._given_back, whole.body))

    async def _create_stream(self, request: h2.events.RequestReceived) -> None:
        asked = _read(request.headers)
        await self._open(request.stream_id, asked, Inbox(partial(self._taken, request.stream_id)))

    def _given_back(self, size: int) -> None:
        self.connection.give_back(size)
        self._flush_soon()

    def _taken(self, stream_id: int, size: int) -> None:
        self._acknowledge(stream_id, size)
        self._flush_soon()

    def _flush_soon(self) -> None:
        if self.connection.pending:
            self._writer.flush_soon()

    async def _open(self, stream_id: int, asked: Asked, inbox: Inbox) -> None:
        stream = GuardedStream(
            self._send_whole,
            self._answered,
            self.app,
            self.config,
            self.context,
            self.task_group,
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            stream_id,
        )
        self.streams[stream_id] = stream
        self._load.total += 1
        stream.begin(asked, inbox)
        if len(self.streams) == 1:
            await self.send(Updated(idle=False))

    async def _data(self, event: h2.events.DataReceived) -> None:
        stream_id, size = event.stream_id, event.flow_controlled_length
        if (stream := self.streams.get(stream_id)) is not None:
            # The application acknowledges what it reads; padding it never sees.
            self._acknowledge(stream_id, size - len(event.data))
            if event.data:
                await stream.handle(Body(stream_id=stream_id, data=event.data))
            return
        self._acknowledge(stream_id, size)
        if stream_id in self._discarding:
            self._discarding[stream_id] -= size
            if self._discarding[stream_id] < 0:
                await self._reset(stream_id, ErrorCodes.NO_ERROR)

    def _acknowledge(self, stream_id: int, size: int) -> None:
        if size:
            with contextlib.suppress(h2.exceptions.ProtocolError):  # the connection is closed
                self.connection.acknowledge_received_data(size, stream_id)

    async def stream_send(self, event: StreamEvent) -> None:
        stream_id = event.stream_id
        if isinstance(event, StreamClosed):
            if stream_id in self._answering:
                # The application broke off: an end of stream would pass half an answer off as a whole one.
                await self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
                await self._flush()
            since = self._arriving.get(stream_id)
            await super().stream_send(event)
            if since is not None:
                self._arriving[stream_id] = since
                self._discarding[stream_id] = self.limits.discard_bytes
            return
        if isinstance(event, Response):
            self._answering[stream_id] = time.monotonic()
            # For Hypercorn's sending task.
            self.stream_buffers[stream_id] = StreamBuffer(self.context.event_class)
            self.priority.insert_stream(stream_id)
            self.priority.block(stream_id)
        await super().stream_send(event)
        if isinstance(event, EndBody):
            self._answering.pop(stream_id, None)
            self.budget.earn(Budget.ANSWERED)

    async def _send_whole(
        self, stream_id: int, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """An answer at once, if the client has a window for all of it; those of one turn of the loop are one write."""
        head = [(b":status", b"%d" % status), *headers, *self.config.response_headers("h2")]
        await self._writer.room()
        try:
            if not self.connection.send_whole(stream_id, head, body):
                return False
        except h2.exceptions.ProtocolError:  # the stream or the connection is gone
            return True
        self.budget.earn(Budget.ANSWERED)
        self._writer.flush_soon()
        if len(body) > PIECE_BYTES:
            # The application counts it until here: what a client has not taken of a large answer stays counted.
            await self._writer.room()
        return True

    async def _answered(self, stream: GuardedStream) -> None:
        """A stream's answer was sent at once; its application may go on for a while."""
        stream_id = stream.stream_id
        if stream_id in self._arriving or self.context.terminated.is_set() or stream_id not in self.streams:
            await self.stream_send(StreamClosed(stream_id=stream_id))
            return
        del self.streams[stream_id]
        self._load.total -= 1
        await stream.handle(StreamClosed(stream_id=stream_id))
        if not self.streams:
            await self.send(Updated(idle=True))

    async def _close_stream(self, stream_id: int) -> None:
        self._arriving.pop(stream_id, None)
        self._answering.pop(stream_id, None)
        self._discarding.pop(stream_id, None)
        if (stream := self.streams.pop(stream_id, None)) is not None:
            self._load.total -= 1
            await stream.handle(StreamClosed(stream_id=stream_id))
        # Without this an application that waits for a window to open would wait on after its stream has gone.
        if (buffer := self.stream_buffers.get(stream_id)) is not None:
            await buffer.close()

    async def _priority_updated(self, event: h2.events.PriorityUpdated) -> None:
        """Priorities by PRIORITY frames are deprecated (RFC 9113, 5.3.2) and only cost."""

    async def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        """Ends a stream on both sides; the caller flushes."""
        with contextlib.suppress(h2.exceptions.ProtocolError):  # gone already
            self.connection.reset_stream(stream_id, code)
        await self._close_stream(stream_id)
        await self._window_updated(stream_id)

    async def _rest(self) -> None:
        await self.send(Updated(idle=self.idle))

    async def sweep(self, now: float) -> None:
        """Resets the streams that have had their time."""
        late = [s for s, since in self._arriving.items() if now - since > self.limits.request_seconds]
        late += [s for s, since in self._answering.items() if now - since > self.limits.response_seconds]
        for stream_id in late:
            await self._reset(stream_id, ErrorCodes.NO_ERROR if stream_id in self._discarding else ErrorCodes.CANCEL)
        if late:
            await self._rest()

    def forget(self) -> None:
        """The connection has ended, however it did."""
        self._load.total -= len(self.streams)
        self.streams.clear()

    def farewell(self) -> None:
        """Says GOAWAY; the caller flushes."""
        with contextlib.suppress(h2.exceptions.ProtocolError):  # said already
            self.connection.close_connection()


def _read(headers: Any) -> Asked:
    """What the application is told of a request's headers; made once for those that are the same block.

    :raises ValueError: a method or a path that is not ASCII, or a tunnel.
    """
    if isinstance(headers, Block) and headers.request is not None:
        known: Asked = headers.request
        return known
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    method = pseudo[b":method"].decode("ascii").upper()
    if method == "CONNECT":
        raise ValueError("no tunnels")
    path, _, query = pseudo[b":path"].partition(b"?")
    query.decode("ascii")
    found = Asked(method, unquote(path.decode("ascii")), path, query, filter_pseudo_headers(headers))
    if isinstance(headers, Block):
        headers.request = found
    return found
