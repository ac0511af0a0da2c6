"""Request bodies: bounded in bytes on the wire, in bytes unpacked, in time, and in sum over all requests.

A body is read whole or, when its request is refused before it was read, drained: an HTTP/2 client that gets its answer
while it still sends would have its frames arrive at a closed stream, which some servers take for a broken connection.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any, Final

from ron_kms.api.http.memory import SMALL, Share
from ron_kms.errors import BadRequest, TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

MAX_BYTES: Final = 1 << 20
"""Bytes of a body on the wire."""

MAX_RATIO: Final = 10
"""Times the bytes on the wire that a gzip body may unpack to."""

DRAIN_BYTES: Final = 2 * MAX_BYTES
"""Bytes that are read and thrown away before a refusal, in the hope that the body ends there."""

MOST_WAITS: Final = 2048
"""While so many bodies are waited for, refusals wait for none."""

_STEP: Final = 1 << 18
"""Bytes unpacked in one turn of the event loop (about a millisecond)."""


class ClientGone(Exception):
    """The client closed its side before its body was whole. It may still read: servers drop what nobody takes."""


class Deadlines:
    """One time limit for many waits, with one timer among them all.

    ``asyncio.timeout`` makes a timer for each wait, which costs more than decoding a small request. Here a wait is an
    entry in a dict, in order of expiry, and a sweep ends those whose time is up; it may come up to a tenth of the limit
    late.

    Used as ``with deadlines: await ...``; raises :class:`TimeoutError`. A task waits in one place at a time.

    :ivar seconds: may be changed; a shorter limit is kept once the waits before it have ended.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waiting: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._sweeping = False

    @property
    def crowded(self) -> bool:
        """Whether so many wait that nobody should who need not."""
        return len(self._waiting) >= MOST_WAITS

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._waiting[_current_task(loop)] = time.monotonic() + self.seconds
        if not self._sweeping:
            self._sweeping = True
            loop.call_later(self.seconds / 10, self._sweep, loop)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = _current_task(asyncio.get_running_loop())
        self._waiting.pop(task, None)
        if self._late and task in self._late:
            self._late.discard(task)
            # Someone else may have cancelled the task as well: that cancellation goes on.
            if task.uncancel() == 0 and kind is asyncio.CancelledError:
                raise TimeoutError from error

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        for task, expires in list(self._waiting.items()):
            if expires > now:
                break
            del self._waiting[task]
            self._late.add(task)
            task.cancel()
        if self._waiting:
            loop.call_later(self.seconds / 10, self._sweep, loop)
        else:
            self._sweeping = False


_current_task: Callable[[asyncio.AbstractEventLoop], asyncio.Task[Any]] = asyncio.current_task  # type: ignore[assignment]
"""Only called from tasks, where there always is one."""


class Body:
    """The body of one request.

    :param receive: the ASGI callable.
    :ivar complete: nothing more of it is to be read: it ended, or it was given up.
    :ivar share: counts what has come, but for a small beginning.
    """

    __slots__ = ("_receive", "_received", "complete", "share")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._received = 0
        self.complete = False
        self.share: Share | None = None

    def _taken(self, message: MutableMapping[str, Any]) -> bytes:
        if message["type"] != "http.request":
            self.complete = True
            raise ClientGone
        chunk: bytes = message.get("body", b"")
        self._received += len(chunk)
        if not message.get("more_body", False):
            self.complete = True
        return chunk

    async def read(self, announced: int | None, deadlines: Deadlines, limit: int = MAX_BYTES) -> bytes:
        """The whole body as it came over the wire.

        :param announced: the Content-Length, where there is one.
        :raises TooLarge: more than ``limit`` bytes, announced or real.
        :raises Backpressure: the share has no room for more.
        :raises BadRequest: it did not arrive in time.
        :raises ClientGone: the client left.
        """
        if announced is not None and announced > limit:
            raise TooLarge(f"the body is larger than {limit} bytes")
        chunks: list[bytes] = []
        try:
            with deadlines:
                while not self.complete:
                    chunk = self._taken(await self._receive())
                    if self._received > limit:
                        raise TooLarge(f"the body is larger than {limit} bytes")
                    if chunk:
                        if self.share is not None and (chunks or len(chunk) > SMALL):
                            self.share.take(len(chunk))
                        chunks.append(chunk)
        except TimeoutError:
            self.complete = True
            raise BadRequest(
                f"the body did not arrive within {deadlines.seconds:g} seconds", hint="Send the whole body at once."
            ) from None
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def drain(self, deadlines: Deadlines, limit: int = DRAIN_BYTES) -> None:
        """Throw away what is still to come, up to ``limit`` bytes from the body's beginning, without complaint."""
        if not self.complete and deadlines.crowded:
            return
        try:
            with deadlines:
                while not self.complete and self._received <= limit:
                    self._taken(await self._receive())
        except (TimeoutError, ClientGone):
            pass


async def unpack(packed: bytes, ratio: int = MAX_RATIO, share: Share | None = None) -> bytes:
    """The content of one gzip member (RFC 1952), without blocking the loop for more than one step of it.

    :param share: counts it.
    :raises Backpressure: the share has no room for more.
    :raises TooLarge: it unpacks to more than ``ratio`` times its size; nothing beyond that is ever unpacked.
    :raises BadRequest: it is not one whole gzip member with nothing after it.
    """
    limit = len(packed) * ratio
    unpacker = zlib.decompressobj(wbits=31)
    chunks: list[bytes] = []
    size = 0
    rest = packed
    try:
        while not unpacker.eof:
            chunk = unpacker.decompress(rest, min(_STEP, limit - size + 1))
            if not chunk and not unpacker.eof:
                raise BadRequest("the gzip body is cut off")
            rest = unpacker.unconsumed_tail
            size += len(chunk)
            if size > limit:
                raise TooLarge(
                    f"the gzip body unpacks to more than {ratio} times its size",
                    hint="Split the request, or send it without Content-Encoding.",
                )
            if share is not None:
                share.take(len(chunk))
            chunks.append(chunk)
            if rest:
                await asyncio.sleep(0)
    except zlib.error:
        raise BadRequest("the gzip body is damaged") from None
    if unpacker.unused_data:
        raise BadRequest("there is something after the end of the gzip body")
    return b"".join(chunks)
