"""HTTP/1.1: reason phrases, early answers that are read, errors in the API's form, no upgrades."""

from __future__ import annotations

import time
from http import HTTPStatus
from itertools import chain
from typing import Any, cast

import h11
import msgspec
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, EndBody, Request, Response
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h11 import STREAM_ID, H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.typing import TaskGroup

from ron_kms.api.http.errors import envelope
from ron_kms.errors import BadRequest, KmsError, TooLarge
from ron_kms.model import new_uuid
from ron_kms.server.guards.limits import Limits
from ron_kms.server.guards.stream import Spawner

_REASONS = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class GuardedH11(H11Protocol):
    """Hypercorn's HTTP/1.1, which also lets a client that was answered early finish its body and go on."""

    connection: h11.Connection

    def __init__(self, limits: Limits, *args: Any) -> None:
        super().__init__(*args)
        self.limits = limits
        self.linger = False
        self.reading_since: float | None = None
        """When the first byte came of a request that is not complete."""
        self._discard = 0

    @property
    def idle(self) -> bool:
        return self.stream is None

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData) and event.data and self.reading_since is None:
            self.reading_since = time.monotonic()
        await super().handle(event)

    async def _handle_events(self) -> None:  # noqa: PLR0912 - one branch a kind of event
        while True:
            if self.connection.they_are_waiting_for_100_continue and self.stream is not None:
                await self._send_h11_event(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                if self.connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
                    await self._send_error_response(error.error_status_hint)
                await self._end()
                return
            if isinstance(event, h11.Request):
                await self.send(Updated(idle=False))
                if event.method == b"CONNECT":
                    await self._send_error_response(HTTPStatus.BAD_REQUEST)
                    await self._end()
                    return
                await self._check_protocol(event)
                await self._create_stream(event)
            elif isinstance(event, h11.Data):
                if self.stream is not None:
                    await self.stream.handle(Body(stream_id=STREAM_ID, data=event.data))
                elif not await self._discarded(len(event.data)):
                    return
            elif isinstance(event, h11.EndOfMessage):
                self.reading_since = None
                if self.stream is not None:
                    await self.stream.handle(EndBody(stream_id=STREAM_ID))
                else:
                    await super()._maybe_recycle()
            elif event is h11.PAUSED:
                if self.stream is None:  # the last answer was sent, and the connection is not used again
                    return
                await self.can_read.clear()
                await self.can_read.wait()
            else:  # NEED_DATA or the client's end
                return

    async def _discarded(self, size: int) -> bool:
        self._discard -= size
        if self._discard < 0:
            await self._end()
            return False
        return True

    async def _end(self) -> None:
        self.linger = True
        await self.send(Closed())

    async def _check_protocol(self, event: h11.Request) -> None:
        """HTTP/2 by prior knowledge; an offer to upgrade (websocket, h2c) is ignored, as RFC 9110, 7.8 allows."""
        if event.method == b"PRI" and event.target == b"*" and event.http_version == b"2.0":
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + self.connection.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        self.stream = HTTPStream(
            self.app,
            self.config,
            self.context,
            cast("TaskGroup", Spawner(self.task_group)),
            self.ssl,
            self.client,
            self.server,
            self.stream_send,
            STREAM_ID,
        )
        await self.stream.handle(
            Request(
                stream_id=STREAM_ID,
                headers=list(request.headers),
                http_version=request.http_version.decode("ascii"),
                method=request.method.decode("ascii").upper(),
                raw_path=request.target,
                state=self.connection_state,
            )
        )

    async def stream_send(self, event: StreamEvent) -> None:
        if isinstance(event, Response) and event.status_code >= 200:
            await self._send_h11_event(
                h11.Response(
                    status_code=event.status_code,
                    headers=list(chain(event.headers, self.config.response_headers("h11"))),
                    reason=_REASONS.get(event.status_code, b""),
                )
            )
        else:
            await super().stream_send(event)

    async def _send_error_response(self, status_code: int) -> None:
        """What h11 found wrong, in the form of every other error."""
        error: KmsError = BadRequest("the request is not HTTP")
        if status_code == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
            error = TooLarge("the request's head is too long", hint="Send fewer or shorter headers.")
        body = msgspec.json.encode(envelope(error, new_uuid()))
        await self._send_h11_event(
            h11.Response(
                status_code=error.http,
                reason=_REASONS[error.http],
                headers=[
                    (b"content-type", b"application/json"),
                    (b"content-length", b"%d" % len(body)),
                    (b"connection", b"close"),
                    *self.config.response_headers("h11"),
                ],
            )
        )
        await self._send_h11_event(h11.Data(data=body))
        await self._send_h11_event(h11.EndOfMessage())

    async def _maybe_recycle(self) -> None:
        """After an answer: the next request, or first the rest of this one's body."""
        unread = self.connection.their_state is h11.SEND_BODY
        if unread and self.connection.our_state is h11.DONE and not self.context.terminated.is_set():
            self._discard = self.limits.discard_bytes
            await self._close_stream()
        else:
            self.linger = self.linger or unread
            await super()._maybe_recycle()

    async def sweep(self, now: float) -> None:
        """Cuts the connection when a request has not arrived in its time."""
        if self.reading_since is not None and now - self.reading_since > self.limits.request_seconds:
            self.reading_since = None
            await self.send(Closed())

    def farewell(self) -> None:
        """HTTP/1.1 has no word for it."""
