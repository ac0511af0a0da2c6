"""Bodies on their way to the application, and its answers.

Hypercorn queues each piece of a body and, after ten, stops reading the whole connection until one is taken: an
application that answers without reading leaves every other request on that connection stuck. Here what has arrived is
one buffer, handed over whole; HTTP/2 bounds it by flow control (acknowledged when the application reads), HTTP/1.1 by
making the reader wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, cast

from hypercorn.config import Config
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.utils import suppress_body

from ron_kms.api.http.exchange import WHOLE_ANSWERS

Read = Callable[[int], None]
"""Told how many bytes the application has taken."""

Whole = Callable[[int, int, Iterable[tuple[bytes, bytes]], bytes], Awaitable[bool]]
"""Sends a stream's status, headers and body at once, or does nothing and returns False."""

Answered = Callable[["GuardedStream"], Awaitable[None]]
"""Told when a stream's answer was sent at once."""

HIGH_WATER = 64 * 1024

PIECE_BYTES = 16 * 1024
"""Of a body that has to wait for the client, given to Hypercorn at once."""

_EXTENSIONS: Any = {WHOLE_ANSWERS: {}}


class Inbox:
    """One request's body between the connection and the application."""

    __slots__ = ("_ended", "_gone", "_pieces", "_read", "_room", "_size", "_wake")

    def __init__(self, read: Read | None, whole: bytes | None = None) -> None:
        """:param whole: the body, where it has come as a whole."""
        self._pieces: list[bytes] = [whole] if whole else []
        self._size = len(whole) if whole else 0
        self._ended = whole is not None
        self._gone = False
        self._read = read
        # Most requests never wait for either.
        self._wake: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    async def put(self, message: Any) -> None:
        """What the connection has: an ASGI ``http.request`` or ``http.disconnect`` message."""
        if message["type"] == "http.disconnect":
            self._gone = True
            self._drop()
            _end(self._room)
        else:
            if message["body"]:
                self._pieces.append(message["body"])
                self._size += len(message["body"])
            self._ended = self._ended or not message["more_body"]
        _end(self._wake)
        if self._read is None:
            while self._size > HIGH_WATER and not self._gone:
                self._room = asyncio.get_running_loop().create_future()
                await self._room

    async def get(self) -> Any:
        """The application's ``receive``."""
        while True:
            # An HTTP/1.1 client may close its side after a whole request and still wait for the answer.
            if self._gone and not (self._ended and self._read is None):
                return {"type": "http.disconnect"}
            if self._pieces or self._ended:
                break
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        body = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        _end(self._room)
        ended, self._ended = self._ended, False
        if body and self._read is not None:
            self._read(len(body))
        return {"type": "http.request", "body": body, "more_body": not ended}

    def _drop(self) -> None:
        """Give back what nobody will read: of one connection's window, which all its streams share."""
        size, read = self._size, self._read
        if size and read is not None:
            self._pieces.clear()
            self._size = 0
            read(size)


def _end(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class Asked(NamedTuple):
    """What an application is told of an HTTP/2 request's headers."""

    method: str
    path: str
    raw_path: bytes
    query: bytes
    headers: list[tuple[bytes, bytes]]


class GuardedStream(HTTPStream):
    """Hypercorn's stream, which holds the head of an answer until it knows whether the body is one piece."""

    def __init__(self, whole: Whole, answered: Answered, *args: Any) -> None:
        super().__init__(*args)
        self._whole = whole
        self._answered = answered
        self._head: Any = None
        self.start_time = 0.0  # for a log that there is not

    def begin(self, asked: Asked, inbox: Inbox) -> None:
        """Start the application."""
        self.scope = {
            "type": "http",
            "http_version": "2",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": asked.method,
            "scheme": self.scheme,
            "path": asked.path,
            "raw_path": asked.raw_path,
            "query_string": asked.query,
            "root_path": "",
            "headers": asked.headers,
            "client": self.client,
            "server": self.server,
            "state": cast("Any", {}),
            "extensions": _EXTENSIONS,
        }
        self.app_put = inbox.put
        self.task_group.spawn(_run, self.app, self.config, self.scope, inbox.get, self.app_send)

    async def app_send(self, message: Any) -> None:
        if message is not None:
            kind = message["type"]
            if kind == "http.response.start" and self.state is ASGIHTTPState.REQUEST and self._head is None:
                self._head = message
                return
            head, self._head = self._head, None
            if head is not None:
                if kind == "http.response.body" and not message.get("more_body") and await self._sent(head, message):
                    return
                await super().app_send(head)
                if kind == "http.response.body" and len(message.get("body", b"")) > PIECE_BYTES:
                    message = await self._all_but_the_end(message)
        await super().app_send(message)

    async def _all_but_the_end(self, message: Any) -> Any:
        """Send a large body piece by piece, as the client takes it; what is left is returned."""
        body = message["body"]
        for at in range(0, len(body) - PIECE_BYTES, PIECE_BYTES):
            await super().app_send(cast("Any", {**message, "body": body[at : at + PIECE_BYTES], "more_body": True}))
        return {**message, "body": body[(len(body) - 1) // PIECE_BYTES * PIECE_BYTES :]}

    async def _sent(self, head: Any, message: Any) -> bool:
        if self.closed:
            return True
        status = int(head["status"])
        body = b"" if suppress_body(self.scope["method"], status) else bytes(message.get("body", b""))
        if not await self._whole(self.stream_id, status, head.get("headers", ()), body):
            return False
        self.state = ASGIHTTPState.CLOSED
        await self._answered(self)
        return True


class Spawner:
    """What a stream of Hypercorn starts its application with, in place of the connection's task group."""

    __slots__ = ("_task_group",)

    def __init__(self, task_group: Any) -> None:
        self._task_group = task_group

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        inbox = Inbox(None)
        self._task_group.spawn(_run, app, config, scope, inbox.get, send)
        return inbox.put

    def spawn(self, func: Callable[..., Awaitable[None]], *args: Any) -> None:
        self._task_group.spawn(func, *args)


async def _run(
    app: Any,
    config: Config,
    scope: Any,
    receive: Callable[[], Awaitable[Any]],
    send: Callable[[Any], Awaitable[None]],
) -> None:
    try:
        await app(scope, receive, send)
    except Exception:  # noqa: BLE001 - the border of the application
        await config.log.exception("the application failed")
    finally:
        await send(None)
