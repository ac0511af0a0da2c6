"""Clients that take their time, or leave half of the way."""

from __future__ import annotations

import contextlib
import itertools
import socket
import time

from tests.counts import count
from tests.hardening.beside import MARK
from tests.hardening.raw import (
    DATA,
    END_HEADERS,
    HEADERS,
    RST_STREAM,
    WINDOW_UPDATE,
    block,
    frame,
    head,
    request,
    settings,
)
from tests.hardening.target import BOTH, JSON, MANY, SIGN, WIDE, Target, drip


def slow_heads(target: Target) -> None:
    with target.connections(MANY) as connections:
        for one in connections:
            one.send(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: ")
        assert drip(connections, lambda _: MARK[:1].encode(), 20) < 20


def slow_preface(target: Target) -> None:
    with target.connections(MANY) as connections:
        for one in connections:
            one.send(b"PRI * HTTP/2.0\r\n")
        assert all(one.ended(20) for one in connections)


def slow_bodies(target: Target) -> None:
    with target.connections(MANY) as connections:
        for one in connections:
            one.send(head("POST", SIGN, target.bearer, JSON, ("content-length", "1000")))
        assert drip(connections, lambda _: b"{", 20) < 20


def slow_bodies_h2(target: Target) -> None:
    with target.connections(MANY // 4, h2=True) as connections:
        for one in connections:
            coded = block(request("POST", SIGN, target.bearer, JSON))
            one.send(b"".join(frame(HEADERS, END_HEADERS, 2 * k + 1, coded) for k in range(16)))
        for turn in range(int(target.patience * 20)):
            for one in connections:
                one.send(frame(DATA, 0, 2 * (turn % 16) + 1, b" "), 0.05)
                one.take()
            time.sleep(0.05)
        for one in connections:
            one.take(0.5)
            ended = {stream for kind, stream, _ in one.frames() if kind in (HEADERS, RST_STREAM)}
            assert len(ended) == 16 or not one.open


def slow_readers(target: Target) -> None:
    """No window, so that answers wait."""
    with target.connections(MANY // 4) as connections:
        coded = block(request("GET", "/openapi.json"))
        for one in connections:
            one.h2(settings(_4=0))
            one.send(b"".join(frame(HEADERS, BOTH, 2 * k + 1, coded) for k in range(128)))
        time.sleep(target.patience)


def readers_of_nothing(target: Target) -> None:
    """The window wide open, and nobody reads: answers are whole, their streams free again."""
    with target.connections(MANY // 8, window=4096) as connections:
        coded = block(request("GET", "/openapi.json"))
        for one in connections:
            one.h2(settings(_4=2**31 - 1), frame(WINDOW_UPDATE, 0, 0, WIDE))
        streams = itertools.count(1, 2)
        for _ in range(count(20, 100)):
            numbers = list(itertools.islice(streams, 32))
            for one in connections:
                one.send(b"".join(frame(HEADERS, BOTH, number, coded) for number in numbers), 0.02)
            time.sleep(0.05)


def readers_of_nothing_http11(target: Target) -> None:
    with target.connections(MANY // 4, window=4096) as connections:
        for one in connections:
            one.send(head("GET", "/openapi.json") * 200, 0.1)
        time.sleep(target.patience)
        assert all(one.ended(20) for one in connections)


def half_closed(target: Target) -> None:
    """Clients that close one side, in the middle or at the end."""
    for h2 in (False, True):
        with target.connections(MANY, h2=h2) as connections:
            for k, one in enumerate(connections):
                if h2:
                    one.send(frame(HEADERS, END_HEADERS, 1, block(request("POST", SIGN, target.bearer, JSON))))
                else:
                    one.send(head("POST", SIGN, target.bearer, JSON, ("content-length", "100")) + b"{" * (k % 100))
                with contextlib.suppress(OSError):
                    one.sock.shutdown(socket.SHUT_WR)
            assert all(one.ended(target.patience * 4 + 10) for one in connections)
