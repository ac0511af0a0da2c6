"""One request with its answer: what its headers say, and the forms that answers have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from ron_kms.api.http.body import Body, Receive
from ron_kms.api.http.encode import ENCODE
from ron_kms.api.http.errors import envelope, extra_headers
from ron_kms.api.http.headers import MEDIA_TYPES, Format, answer_format, gather, request_id
from ron_kms.errors import KmsError
from ron_kms.service.operation import Context, File

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Header = tuple[bytes, bytes]

_HEADERS: dict[Format, list[Header]] = {
    name: [
        (b"content-type", media.encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    for name, media in MEDIA_TYPES.items()
}

_REVALIDATED = (
    # Whoever has read it may keep it, and asks each time whether it is still so: a state that was changed, such as a
    # key that is compromised, is never overlooked.
    (b"cache-control", b"private, no-cache"),
    (b"vary", b"accept"),
)
_KEPT: dict[Format, list[Header]] = {
    name: [*(header for header in headers if header[0] != b"cache-control"), *_REVALIDATED]
    for name, headers in _HEADERS.items()
}

_NOSNIFF = (b"x-content-type-options", b"nosniff")
_IMMUTABLE = ((b"cache-control", b"private, max-age=31536000, immutable"), _NOSNIFF)
_REVALIDATED_FILE = ((b"cache-control", b"no-cache"), _NOSNIFF)


_LARGE = 16_384
_PIECES = 6
"""A larger answer is sent in so many pieces, so that a server can make it wait for a slow reader. Granian takes five of
them, whoever reads, and then no more; it would take a single one at once, and nobody would count what waits."""

WHOLE_ANSWERS = "ron_kms.whole_answers"
"""The extension of a server that makes an answer wait for a slow reader also where it gets it as a whole."""


class Exchange:
    """One request with its answer.

    :ivar headers: of the request, as :func:`~ron_kms.api.http.headers.gather` gives them.
    :ivar id: the request id.
    :ivar format: of the answer.
    :ivar context: who asks; None as long as nobody is known.
    :ivar acted: whether any work was done for it.
    """

    __slots__ = ("acted", "body", "context", "format", "headers", "id", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.send = send
        self.headers = gather(scope["headers"])
        self.id = request_id(self.headers)
        self.format = answer_format(self.headers)
        self.body = Body(receive)
        self.context: Context | None = None
        self.acted = False

    async def answer(
        self, status: int, content: bytes, *extra: Header, headers: Mapping[Format, list[Header]] = _HEADERS
    ) -> None:
        """One start and one body message; HEAD gets the headers alone."""
        send = self.send
        all_headers = [
            *headers[self.format],
            (b"content-length", b"%d" % len(content)),
            (b"x-corr-id", self.id.encode("ascii")),
            *extra,
        ]
        await send({"type": "http.response.start", "status": status, "headers": all_headers})
        if self.scope["method"] == "HEAD":
            content = b""
        elif len(content) > _LARGE and WHOLE_ANSWERS not in self.scope.get("extensions", ()):
            size = len(content) // _PIECES + 1
            sent = 0
            while len(content) - sent > size:
                await send({"type": "http.response.body", "body": content[sent : sent + size], "more_body": True})
                sent += size
            content = content[sent:]
        await send({"type": "http.response.body", "body": content})

    async def answer_kept(self, status: int, content: bytes, *extra: Header) -> None:
        """An answer that the client may keep, as long as it asks each time."""
        await self.answer(status, content, *extra, headers=_KEPT)

    async def answer_file(self, file: File) -> None:
        """An answer that is bytes already."""
        headers = _IMMUTABLE if file.kept else _REVALIDATED_FILE
        await self.answer(200, file.content, headers={self.format: [(b"content-type", file.media.encode()), *headers]})

    async def answer_unchanged(self, *extra: Header) -> None:
        """304: the headers that 200 would have had and that say how it may be kept (RFC 9110 15.4.5)."""
        headers = [*_REVALIDATED, (b"x-corr-id", self.id.encode("ascii")), *extra]
        await self.send({"type": "http.response.start", "status": 304, "headers": headers})
        await self.send({"type": "http.response.body", "body": b""})

    async def answer_error(self, error: KmsError, *extra: Header) -> None:
        """The error's envelope, with the headers that belong to it."""
        content = ENCODE[self.format](envelope(error, self.id))
        await self.answer(error.http, content, *extra_headers(error), *extra)
