"""Connections that do exactly what they are told, without a library's scruples."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable, Sequence
from typing import Self

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4

Header = tuple[str | bytes, str | bytes]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, 4.1."""
    return struct.pack("!HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    """A SETTINGS frame; values by the numbers of RFC 9113, 6.5.2, as ``_4=0``."""
    return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HL", int(name[1:]), v) for name, v in values.items()))


def block(headers: Iterable[Header]) -> bytes:
    """A header block that uses and changes no table."""
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode([(name, value, True) for name, value in headers], huffman=False)


def request(method: str, path: str, *extra: Header) -> list[Header]:
    return [(":method", method), (":path", path), (":scheme", "http"), (":authority", "x"), *extra]


def head(method: str, path: str, *extra: tuple[str, str]) -> bytes:
    """The head of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "host: x", *(f"{name}: {value}" for name, value in extra)]
    return "\r\n".join((*lines, "", "")).encode()


class Raw:
    """One connection. What it gets is kept as it came, up to a bound."""

    KEEP = 1 << 20

    def __init__(self, port: int, *, window: int | None = None) -> None:
        self.sock = socket.socket()
        if window is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        self.sock.settimeout(10)
        self.sock.connect(("127.0.0.1", port))
        self.got = bytearray()
        self.open = True

    def send(self, data: bytes, seconds: float = 10.0) -> bool:
        """Whether all of it went out; what does not in time is given up."""
        self.sock.settimeout(seconds)
        try:
            self.sock.sendall(data)
        except OSError:
            return False
        return True

    def h2(self, *first: bytes) -> Self:
        """HTTP/2 by prior knowledge."""
        self.send(PREFACE + (b"".join(first) or settings()) + frame(SETTINGS, 1, 0))
        return self

    def take(self, seconds: float = 0.0) -> bool:
        """Read what is there, or comes in time; false at the end."""
        self.sock.settimeout(max(seconds, 0.0005))
        try:
            data = self.sock.recv(1 << 16)
        except TimeoutError:
            return self.open
        except OSError:
            data = b""
        if not data:
            self.open = False
            return False
        self.got += data[: self.KEEP - len(self.got)]
        return True

    def ended(self, seconds: float) -> bool:
        """Whether the other side closes in time."""
        end = time.monotonic() + seconds
        while self.open and (left := end - time.monotonic()) > 0:
            self.take(left)
        return not self.open

    def until(self, part: bytes, seconds: float = 10.0) -> bool:
        """Whether this comes in time."""
        end = time.monotonic() + seconds
        while part not in self.got and self.open and (left := end - time.monotonic()) > 0:
            self.take(left)
        return part in self.got

    def statuses(self) -> list[int]:
        """Of all answers so far."""
        if self.got.startswith(b"HTTP/1."):
            return [int(line[9:12]) for line in self.got.split(b"\r\n") if line.startswith(b"HTTP/1.")]
        found = []
        decoder = Decoder()
        for kind, _, payload in self.frames():
            if kind == HEADERS:
                try:
                    found += [int(value) for name, value in decoder.decode(payload) if name == ":status"]
                except (HPACKError, ValueError):  # cut off by the bound
                    break
        return found

    def frames(self) -> Sequence[tuple[int, int, bytes]]:
        """Kind, stream and payload of all whole HTTP/2 frames so far."""
        found, at = [], 0
        while at + 9 <= len(self.got):
            size = int.from_bytes(self.got[at : at + 3])
            if at + 9 + size > len(self.got):
                break
            stream = int.from_bytes(self.got[at + 5 : at + 9]) & 0x7FFFFFFF
            found.append((self.got[at + 3], stream, bytes(self.got[at + 9 : at + 9 + size])))
            at += 9 + size
        return found

    def close(self) -> None:
        self.sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
