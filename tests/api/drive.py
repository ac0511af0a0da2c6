"""Drives the application through ASGI, message by message, as a server does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from ron_kms.api.http.app import App, create_app
from tests.api.sample import OPERATIONS, Checker, Kms

T = TypeVar("T")

ALL = ("authorization", "Bearer all")
JSON = ("content-type", "application/json")
MSGPACK = ("content-type", "application/msgpack")


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def data(self) -> Any:
        """The body, decoded as its Content-Type says."""
        if self.headers["content-type"] == "application/msgpack":
            return msgspec.msgpack.decode(self.content)
        return msgspec.json.decode(self.content)

    @property
    def code(self) -> str:
        code: str = self.data["error"]["code"]
        return code

    @property
    def message(self) -> str:
        message: str = self.data["error"]["message"]
        return message


@dataclass
class Stream:
    """One request's stream: what the client sends, how much of it was read, what came back."""

    messages: list[dict[str, Any]]
    endless: bool = False
    taken: int = 0
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def receive(self) -> dict[str, Any]:
        if self.taken < len(self.messages):
            self.taken += 1
            return self.messages[self.taken - 1]
        if self.endless:
            self.taken += 1
            await asyncio.sleep(0)
            return self.messages[-1]
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    def answer(self) -> Answer:
        start, *pieces = self.sent
        assert start["type"] == "http.response.start"
        assert {piece["type"] for piece in pieces} == {"http.response.body"}
        assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert len(headers) == len(start["headers"]), "a header came twice"
        return Answer(start["status"], headers, b"".join(piece["body"] for piece in pieces))


def chunked(*chunks: bytes, last: bool = True) -> list[dict[str, Any]]:
    """Body messages; without ``last`` the body never ends."""
    return [
        {"type": "http.request", "body": chunk, "more_body": not (last and at == len(chunks) - 1)}
        for at, chunk in enumerate(chunks)
    ]


def scope(method: str, path: str, headers: Sequence[tuple[str, str]]) -> dict[str, Any]:
    bare, _, query = path.partition("?")
    return {
        "type": "http",
        "http_version": "2",
        "method": method,
        "path": bare,
        "raw_path": bare.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "extensions": {},
    }


class Edge:
    """An application on an event loop of its own."""

    def __init__(self, runner: asyncio.Runner, **options: Any) -> None:
        self._runner = runner
        self.kms = Kms()
        self.app: App = create_app(OPERATIONS, self.kms, Checker(), **options)  # type: ignore[arg-type]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    async def stream(
        self, method: str, path: str, stream: Stream, *headers: tuple[str, str], extensions: Any = None
    ) -> None:
        await self.app({**scope(method, path, headers), "extensions": extensions or {}}, stream.receive, stream.send)

    def call(self, method: str, path: str, body: bytes = b"", *headers: tuple[str, str]) -> Answer:
        """One request with a whole body, in a message before the one that ends it, as Hypercorn sends them."""
        stream = Stream(chunked(body, b"") if body else chunked(b""))
        self.run(self.stream(method, path, stream, *headers))
        assert stream.taken == len(stream.messages), "the body was not read to its end"
        return stream.answer()

    def get(self, path: str, *headers: tuple[str, str]) -> Answer:
        return self.call("GET", path, b"", ALL, *headers)

    def post(self, path: str, data: Any, *headers: tuple[str, str]) -> Answer:
        return self.call("POST", path, msgspec.json.encode(data), ALL, JSON, *headers)
