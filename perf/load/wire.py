"""HTTP/2 (RFC 9113) for a load generator: prepared requests go out, ends of streams come back.

A general client spends more on a request than the service does. Here a request is bytes made once, in which only the
stream's number is set, and of an answer only its status and its end are looked at. The server is asked to index no
headers (SETTINGS_HEADER_TABLE_SIZE 0), so that a status can be read without the state of those before it.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable, Iterable

from hpack import Decoder, Encoder

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_WINDOW_MOST = 2**31 - 1
_FRAME_MOST = 16_384
_OK = 0x88
"""``:status 200`` in HPACK's static table (RFC 7541, appendix A)."""

RESET = 0
"""Stands for a status where the stream ended without one: reset, or the connection was lost."""

About = tuple[float, str]
"""When a request was due, in seconds of the performance counter, and its name."""

Done = Callable[[About, int, bytes], None]
"""Told of a request's end: what it was sent with, its status, and the body where that is not 2xx."""


class Request:
    """A request as frames, ready but for the stream's number.

    :ivar path: that it goes to, ``content``: its body, of which ``body`` is the length.
    """

    __slots__ = ("body", "content", "frames", "name", "path")

    def __init__(self, name: str, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        headers = list(headers)
        encoder = Encoder()
        encoder.header_table_size = 0
        block = encoder.encode(headers, huffman=True)
        frames = [(_HEADERS, _END_HEADERS if body else _END_HEADERS | _END_STREAM, block)]
        for at in range(0, len(body), _FRAME_MOST):
            piece = body[at : at + _FRAME_MOST]
            frames.append((_DATA, _END_STREAM if at + len(piece) == len(body) else 0, piece))
        self.name = name
        self.path = dict(headers)[":path"]
        self.content = body
        self.body = len(body)
        self.frames = [
            (struct.pack(">I", len(content))[1:] + bytes((kind, flags)), content) for kind, flags, content in frames
        ]


class Lost(ConnectionError):
    """The server has closed the connection."""


class Connection:
    """One connection with at most ``streams`` requests under way.

    :param done: called for each answer, from within :meth:`receive` or :meth:`lose`.
    """

    def __init__(self, address: tuple[str, int], streams: int, done: Done, tls: ssl.SSLContext | None = None) -> None:
        plain = socket.create_connection(address, timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = plain if tls is None else tls.wrap_socket(plain, server_hostname=address[0])
        self.socket.setblocking(False)
        self._done = done
        self._streams = streams
        self._under_way: dict[int, About] = {}
        self._statuses: dict[int, int] = {}
        self._refusals: dict[int, bytes] = {}
        self._next = 1
        self._window = 65_535
        self._taken = 0
        self._in = bytearray()
        settings = struct.pack(">HIHIHI", 1, 0, 2, 0, 4, _WINDOW_MOST)
        self._out = bytearray(
            _PREFACE + _frame(_SETTINGS, 0, 0, settings) + _frame(_WINDOW, 0, 0, struct.pack(">I", 2**31 - 65_536))
        )

    @property
    def free(self) -> int:
        """How many requests more it takes now."""
        return self._streams - len(self._under_way)

    @property
    def waits_to_write(self) -> bool:
        return bool(self._out)

    def send(self, request: Request, about: About) -> bool:
        """Queue a request; False where the server's window has no room for its body now."""
        if request.body > self._window:
            return False
        self._window -= request.body
        number = self._next
        self._next += 2
        stream = struct.pack(">I", number)
        out = self._out
        for head, content in request.frames:
            out += head
            out += stream
            out += content
        self._under_way[number] = about
        return True

    def flush(self) -> None:
        """Write what the socket takes."""
        while self._out:
            try:
                del self._out[: self.socket.send(self._out)]
            except OSError:  # it takes no more now; or it is lost, which receiving will tell
                return

    def receive(self) -> None:
        """Read what has come.

        :raises Lost: the server has closed; what was under way has been reported as reset.
        """
        try:
            data = self.socket.recv(262_144)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except OSError:
            data = b""
        if not data:
            self.lose()
            raise Lost
        self._in += data
        self._parse()

    def lose(self) -> None:
        """Close, and report what was under way."""
        self.socket.close()
        for about in self._under_way.values():
            self._done(about, RESET, b"")
        self._under_way.clear()

    def _parse(self) -> None:
        buffer, at, end = self._in, 0, len(self._in)
        while end - at >= 9:
            length = int.from_bytes(buffer[at : at + 3])
            if end - at - 9 < length:
                break
            kind, flags = buffer[at + 3], buffer[at + 4]
            number = int.from_bytes(buffer[at + 5 : at + 9])
            at += 9
            if kind == _HEADERS:
                status = 200 if buffer[at] == _OK else _status(bytes(buffer[at : at + length]))
                self._statuses[number] = status
                if not 200 <= status < 300:
                    self._refusals[number] = b""
                if flags & _END_STREAM:
                    self._ended(number)
            elif kind == _DATA:
                self._taken += length
                if number in self._refusals:
                    self._refusals[number] += buffer[at : at + length]
                if flags & _END_STREAM:
                    self._ended(number)
            else:
                self._control(kind, flags, number, bytes(buffer[at : at + length]))
            at += length
        del buffer[:at]
        if self._taken > 2**28:
            self._out += _frame(_WINDOW, 0, 0, struct.pack(">I", self._taken))
            self._taken = 0

    def _control(self, kind: int, flags: int, number: int, content: bytes) -> None:
        if kind == _WINDOW and number == 0:
            self._window += int.from_bytes(content)
        elif kind == _SETTINGS and not flags & _ACK:
            self._out += _frame(_SETTINGS, _ACK, 0, b"")
        elif kind == _PING and not flags & _ACK:
            self._out += _frame(_PING, _ACK, 0, content)
        elif kind == _RST:
            self._statuses[number] = RESET
            self._ended(number)
        elif kind == _GOAWAY:
            self._streams = 0

    def _ended(self, number: int) -> None:
        status = self._statuses.pop(number, RESET)
        body = self._refusals.pop(number, b"")
        if number in self._under_way:
            self._done(self._under_way.pop(number), status, body)


def _frame(kind: int, flags: int, number: int, content: bytes) -> bytes:
    return struct.pack(">I", len(content))[1:] + bytes((kind, flags)) + struct.pack(">I", number) + content


def _status(block: bytes) -> int:
    for name, value in Decoder().decode(block):
        if name in {":status", b":status"}:
            return int(value)
    return RESET
