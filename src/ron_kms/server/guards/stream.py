"""Bodies on their way to the application.

Hypercorn queues each piece of a body and, after ten, stops reading the whole connection until one is taken: an
application that answers without reading leaves every other request on that connection stuck. Here what has arrived is
one buffer, handed over whole; HTTP/2 bounds it by flow control (acknowledged when the application reads), HTTP/1.1 by
making the reader wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hypercorn.config import Config

Read = Callable[[int], Awaitable[None]]
"""Told how many bytes the application has taken."""

HIGH_WATER = 64 * 1024


class Inbox:
    """One request's body between the connection and the application."""

    __slots__ = ("_body", "_ended", "_gone", "_read", "_room", "_wake")

    def __init__(self, read: Read | None) -> None:
        self._body = bytearray()
        self._ended = False
        self._gone = False
        self._read = read
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def put(self, message: Any) -> None:
        """What the connection has: an ASGI ``http.request`` or ``http.disconnect`` message."""
        if message["type"] == "http.disconnect":
            self._gone = True
            self._room.set()
        else:
            self._body += message["body"]
            self._ended = self._ended or not message["more_body"]
        self._wake.set()
        if self._read is None:
            while len(self._body) > HIGH_WATER and not self._gone:
                self._room.clear()
                await self._room.wait()

    async def get(self) -> Any:
        """The application's ``receive``."""
        while True:
            # An HTTP/1.1 client may close its side after a whole request and still wait for the answer.
            if self._gone and not (self._ended and self._read is None):
                return {"type": "http.disconnect"}
            if self._body or self._ended:
                break
            self._wake.clear()
            await self._wake.wait()
        body = bytes(self._body)
        self._body.clear()
        self._room.set()
        ended, self._ended = self._ended, False
        if body and self._read is not None:
            await self._read(len(body))
        return {"type": "http.request", "body": body, "more_body": not ended}


class Spawner:
    """What a stream of Hypercorn starts its application with, in place of the connection's task group."""

    __slots__ = ("_read", "_task_group")

    def __init__(self, task_group: Any, read: Read | None = None) -> None:
        self._task_group = task_group
        self._read = read

    async def spawn_app(
        self, app: Any, config: Config, scope: Any, send: Callable[[Any], Awaitable[None]]
    ) -> Callable[[Any], Awaitable[None]]:
        inbox = Inbox(self._read)
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
