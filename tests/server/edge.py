"""A guarded server around a small application, and an HTTP/2 client that does exactly what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import uvloop

from ron_kms.server.guards.limits import Limits
from ron_kms.server.guards.serve import Server


class Probe:
    """The application: what it does is in the path; it counts what it saw."""

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.release = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.started += 1
        self.running += 1
        try:
            await self._serve(scope, receive, send)
        finally:
            self.running -= 1

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        path = scope["path"]
        body = b""
        if path not in {"/early", "/never"}:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                body += message["body"]
                if not message["more_body"]:
                    break
        if path in {"/wait", "/never"}:
            await self.release.wait()
        status, answer = (401, b"no") if path == "/early" else (200, b"%d" % len(body))
        if path.startswith("/big/"):
            answer = bytes(int(path.removeprefix("/big/")))
        await send(
            {"type": "http.response.start", "status": status, "headers": [(b"content-length", b"%d" % len(answer))]}
        )
        if path == "/break":
            await send({"type": "http.response.body", "body": answer[:1], "more_body": True})
            raise RuntimeError("on purpose")
        await send({"type": "http.response.body", "body": answer})


class Running:
    """A server in a thread of its own."""

    def __init__(self, port: int, probe: Probe, server: Server, loop: asyncio.AbstractEventLoop) -> None:
        self.port = port
        self.probe = probe
        self.server = server
        self.loop = loop

    def call(self, function: Callable[[], Any]) -> None:
        self.loop.call_soon_threadsafe(function)

    def close(self, seconds: float) -> None:
        asyncio.run_coroutine_threadsafe(self.server.close(seconds), self.loop).result(10)


@contextlib.contextmanager
def serving(limits: Limits | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Running]:
    ready: list[Running] = []
    up, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        probe = Probe()
        server = Server(probe, limits or Limits(sweep_seconds=0.1), tls)
        await server.start(sock)
        ready.append(Running(port, probe, server, asyncio.get_running_loop()))
        up.set()
        await stop.wait()
        probe.release.set()
        await server.close(0.5)
        assert probe.running == 0, "an application task outlived its connection"
        assert server.load.total == 0, "a request is counted for ever"

    failures: list[BaseException] = []

    def run() -> None:
        try:
            uvloop.run(main())
        except BaseException as error:  # noqa: BLE001 - reraised in the test
            failures.append(error)
        finally:
            up.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert up.wait(10)
    try:
        yield ready[0]
    finally:
        if ready:
            ready[0].call(stop.set)
        thread.join(10)
    if failures:
        raise failures[0]


class Client:
    """A client by prior knowledge. ``answers`` maps streams to ``[status, body, ended, reset code]``."""

    def __init__(self, port: int, *, acknowledge: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=5)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="ascii"))
        self.h2.initiate_connection()
        self.acknowledge = acknowledge
        self.answers: dict[int, list[Any]] = {}
        self.goaway: int | None = None
        self.closed = False
        self.flush()

    def flush(self) -> None:
        self.sock.sendall(self.h2.data_to_send())

    def request(self, path: str, body: bytes | None = None, *, end: bool = True, flush: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        method = "GET" if body is None else "POST"
        headers = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "localhost")]
        self.h2.send_headers(stream, headers, end_stream=body is None and end)
        if body is not None:
            self.h2.send_data(stream, body, end_stream=end)
        if flush:
            self.flush()
        return stream

    def read(self, seconds: float = 5.0) -> bool:
        """Take what comes next; false when nothing came in time or the connection ended."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        try:
            for event in self.h2.receive_data(data):
                self._note(event)
        except h2.exceptions.ProtocolError as error:
            if "RECV_PING in state ConnectionState.CLOSED" not in str(error):
                raise
            # A PING behind a GOAWAY (RFC 9113, 6.8), which h2 takes for the end.
            self.goaway, self.closed = 0, True
            return False
        with contextlib.suppress(OSError):
            self.flush()
        return True

    def _note(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            return
        stream = getattr(event, "stream_id", 0)
        answer = self.answers.setdefault(stream, [None, b"", False, None])
        if isinstance(event, h2.events.ResponseReceived):
            answer[0] = int(dict(event.headers)[":status"])
        elif isinstance(event, h2.events.DataReceived):
            answer[1] += event.data
            if self.acknowledge:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.StreamEnded):
            answer[2] = True
        elif isinstance(event, h2.events.StreamReset):
            answer[3] = int(event.error_code)

    def answer(self, stream: int, seconds: float = 5.0) -> list[Any]:
        """The whole answer of a stream, or what there is of it when it was reset or time is up."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            answer = self.answers.get(stream)
            if (answer and (answer[2] or answer[3] is not None)) or not self.read(end - time.monotonic()):
                break
        return self.answers.get(stream, [None, b"", False, None])

    def wait_closed(self, seconds: float = 5.0) -> bool:
        end = time.monotonic() + seconds
        while not self.closed and time.monotonic() < end:
            self.read(max(0.01, end - time.monotonic()))
        return self.closed

    def alive(self) -> bool:
        """Whether a new request on this connection is answered."""
        return self.answer(self.request("/"))[0] == 200

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()
