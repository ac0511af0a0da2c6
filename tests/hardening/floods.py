"""Clients that send more than is good, none of it worth an answer."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from tests.counts import count
from tests.hardening.beside import MARK
from tests.hardening.raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Raw,
    block,
    frame,
    request,
    settings,
)
from tests.hardening.target import BOTH, FLOOD, JSON, MANY, SIGN, Target


def resets(target: Target) -> None:
    """RFC 9113, 10.5; CVE-2023-44487."""
    _begin_and_spoil(target, RST_STREAM, struct.pack("!L", 8))


def resets_by_us(target: Target) -> None:
    """Streams that the server must reset: "MadeYouReset", CVE-2025-8671."""
    _begin_and_spoil(target, WINDOW_UPDATE, struct.pack("!L", 0))


def _begin_and_spoil(target: Target, kind: int, content: bytes) -> None:
    """Begin request after request, each followed by a frame that ends it."""
    coded = block(request("POST", SIGN, target.bearer, JSON))
    with target.connections(4, h2=True) as connections:
        for one in connections:
            for at in range(0, FLOOD // 4, 50):
                data = b"".join(
                    frame(HEADERS, END_HEADERS, 2 * k + 1, coded) + frame(kind, 0, 2 * k + 1, content)
                    for k in range(at, at + 50)
                )
                if not one.send(data, 2.0):
                    break


def streams(target: Target) -> None:
    """Far more at once than allowed, each without its end."""
    coded = block(request("POST", SIGN, JSON))
    with target.connections(MANY // 4, h2=True) as connections:
        for one in connections:
            one.send(b"".join(frame(HEADERS, END_HEADERS, 2 * k + 1, coded) for k in range(FLOOD // 10)), 2.0)
        time.sleep(target.patience / 2)


def continuations(target: Target) -> None:
    """CVE-2024-27316 and its like."""
    with target.connections(4, h2=True) as connections:
        for one in connections:
            piece = frame(CONTINUATION, 0, 1, block([("x-a", MARK * 50)]))
            sent = one.send(frame(HEADERS, END_STREAM, 1, block(request("GET", "/"))), 1.0)
            for _ in range(FLOOD):
                if not sent or not (sent := one.send(piece * 8, 1.0)):
                    break
            assert one.ended(10)
            empty = Raw(target.port).h2()
            empty.send(frame(HEADERS, END_STREAM, 1, block(request("GET", "/"))))
            for _ in range(FLOOD // 50):
                empty.send(frame(CONTINUATION, 0, 1) * 50, 1.0)
            target.note(empty)
            empty.close()


def control(target: Target) -> None:
    """Frames that ask for nothing."""
    kinds = (
        frame(PING, 0, 0, bytes(8)),
        settings(_4=65_535),
        settings(_1=4096),
        frame(PRIORITY, 0, 1, bytes(5)),
        frame(WINDOW_UPDATE, 0, 0, struct.pack("!L", 1)),
        frame(0x77, 0, 0, b"x"),
        frame(PING, 1, 0, bytes(8)),
    )
    for kind in kinds:
        with target.connections(1, h2=True) as (one,):
            for _ in range(FLOOD // 100):
                if not one.send(kind * 100, 1.0):
                    break


def empty_data(target: Target) -> None:
    with target.connections(1, h2=True) as (one,):
        one.send(frame(HEADERS, END_HEADERS, 1, block(request("POST", SIGN, target.bearer, JSON))))
        for _ in range(FLOOD // 100):
            if not one.send(frame(DATA, 0, 1) * 100, 1.0):
                break


def tables(target: Target) -> None:
    """One entry of a header table, named thousands of times."""
    with target.connections(4, h2=True) as connections:
        for one in connections:
            entry = b"\x40\x03x-a\x7f\xa1\x1e" + b"v" * 4000
            one.send(frame(HEADERS, BOTH, 1, block(request("GET", "/")) + entry))
            for k in range(1, 50):
                if not one.send(frame(HEADERS, BOTH, 2 * k + 1, block(request("GET", "/")) + b"\xbe" * 10_000), 1.0):
                    break
            one.send(frame(SETTINGS, 0, 0, struct.pack("!HL", 1, 2**32 - 1)), 1.0)
            one.take(0.2)


def crowds(target: Target) -> None:
    """More connections than are allowed, and as many that come and go."""
    with target.connections(count(150, 600)) as connections:
        for one in connections:
            one.send(b"GET ", 0.05)
        time.sleep(0.5)
    for _ in range(FLOOD // 10):
        with contextlib.suppress(OSError), Raw(target.port) as one:
            one.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
