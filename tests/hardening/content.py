"""Requests whose content is the attack."""

from __future__ import annotations

import gzip
import itertools
import random
import time
from collections.abc import Iterator

from ron_kms.capabilities.tokens import attenuate
from tests.counts import count
from tests.hardening.beside import MARK
from tests.hardening.raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RST_STREAM,
    WINDOW_UPDATE,
    Header,
    Raw,
    block,
    frame,
    head,
    request,
)
from tests.hardening.target import BOTH, FLOOD, JSON, SIGN, Target, ask


def large_bodies(target: Target) -> None:
    for size in (2 << 20, 1 << 40):
        with target.connections(1) as (one,):
            one.send(head("POST", SIGN, target.bearer, JSON, ("content-length", str(size))))
            for _ in range(64):
                if not one.send(bytes(1 << 16), 1.0):
                    break
            assert one.until(b"413", 20)


def endless_bodies(target: Target) -> None:
    for bearer in ([target.bearer], []):
        with target.connections(4) as connections:
            for one in connections:
                one.send(head("POST", SIGN, *bearer, JSON, ("transfer-encoding", "chunked")))
            for one in connections:
                all(one.send(b"10000\r\n" + bytes(1 << 16) + b"\r\n", 2.0) for _ in range(200))
                assert one.ended(10)


def bodies_in_flight(target: Target) -> None:
    """All but the end of a great many bodies, each within its bound."""
    size, step = 1 << 20, 16_384
    with target.connections(count(2, 8), h2=True) as connections:
        coded = block(request("POST", SIGN, target.bearer, JSON))
        pumps = [Pump(one, coded, size - 1, step) for one in connections]
        end = time.monotonic() + count(3, 15)
        while time.monotonic() < end and sum(pump.turn() for pump in pumps):
            pass
        target.seen.statuses.update(itertools.chain.from_iterable(pump.statuses for pump in pumps))


class Pump:
    """128 bodies on one connection, as fast as windows open."""

    def __init__(self, raw: Raw, coded: bytes, size: int, step: int) -> None:
        self._raw = raw
        self._step = step
        self._window = 65_535
        self._windows = {2 * k + 1: 65_535 for k in range(128)}
        self._left = dict.fromkeys(self._windows, size)
        self._rest = b""
        self.statuses: set[int] = set()
        raw.send(b"".join(frame(HEADERS, END_HEADERS, number, coded) for number in self._windows))

    def turn(self) -> bool:
        self._raw.take(0.001)
        self.statuses.update(self._raw.statuses())
        for kind, stream, payload in self._raw.frames():
            if kind == WINDOW_UPDATE:
                if stream:
                    self._windows[stream] += int.from_bytes(payload)
                else:
                    self._window += int.from_bytes(payload)
            elif kind in (HEADERS, RST_STREAM):
                self._left.pop(stream, None)
        del self._raw.got[: sum(9 + len(payload) for _, _, payload in self._raw.frames())]
        data = []
        for stream in list(self._left):
            size = min(self._step, self._window, self._windows[stream], self._left[stream])
            if size > 0:
                data.append(frame(DATA, 0, stream, b"[" * size))
                self._window -= size
                self._windows[stream] -= size
                self._left[stream] -= size
        if data:
            self._raw.send(b"".join(data), 2.0)
        return self._raw.open


def bombs(target: Target) -> None:
    """Gzip to no end, and many that stay within their ratio."""
    zipped = ("content-encoding", "gzip")
    zeros = gzip.compress(bytes(50 << 20), 9)
    within = gzip.compress(random.Random(1).randbytes(90_000) + bytes(800_000))
    nested = gzip.compress(gzip.compress(bytes(1 << 20)))
    for body in (zeros, zeros * 3, nested, within, within[:-9], b"\x1f\x8b" + bytes(100), zeros[:5]):
        for _ in range(count(3, 30)):
            raw = target.post(SIGN, body, target.bearer, JSON, zipped)
            assert set(raw.statuses()) <= {400, 413, 429}, raw.statuses()


def deep_and_huge(target: Target) -> None:
    """JSON and MessagePack that cost more than they say."""
    most = 1 << 20
    bodies: list[tuple[str, bytes]] = [
        ("json", b"[" * most),
        ("json", b'{"a":' * (most // 5)),
        ("json", b'{"items":[' + b"{}," * (most // 3 - 10) + b"{}]}"),
        ("json", b'{"kid":' + b"9" * (most - 20) + b"}"),
        ("json", b'{"kid":1e' + b"9" * (most - 20) + b"}"),
        ("json", b'{"kid":"' + MARK.encode() * (most // 20) + b'"}'),
        ("json", b'{"' + MARK.encode() * (most // 20) + b'":1}'),
        ("json", b"{" + b",".join(b'"k%d":1' % k for k in range(most // 12)) + b"}"),
        ("json", b'{"kid":"' + b"\\ud800" * (most // 7) + b'"}'),
        ("json", b'{"kid":"' + b"\xff\xfe" * 1000 + b'"}'),
        ("json", b'{"kid":"a","kid":"b","digest":"x"}'),
        ("json", b"\x00" * 1000),
        ("json", b" " * most),
        ("msgpack", b"\x91" * most),
        ("msgpack", b"\xdd\xff\xff\xff\xff"),
        ("msgpack", b"\xdf\xff\xff\xff\xff" + b"\xa1a\x01" * 1000),
        ("msgpack", b"\xc6\xff\xff\xff\xff" + b"x"),
        ("msgpack", b"\xdd\x00\x0f\x42\x40" + b"\x80" * (most - 10)),
        ("msgpack", b"\xc9\x00\x00\x00\x10\x7f" + bytes(16)),
    ]
    for format_, body in bodies:
        for path in (SIGN, "/v1/kms/verify:batch"):
            raw = target.post(path, body, target.bearer, ("content-type", f"application/{format_}"))
            assert raw.statuses(), body[:20]
            assert set(raw.statuses()) <= {400, 413, 429}, (raw.statuses(), body[:20])


def wrong_types(target: Target) -> None:
    for media in (
        "text/plain",
        f"application/{MARK}",
        "application/json; charset=utf-16",
        "a" * 8000,
        "",
        "application",
    ):
        raw = target.post(SIGN, b"{}", target.bearer, ("content-type", media))
        assert raw.statuses() == [400], (media, raw.statuses())
    for coding in ("br", "deflate", "gzip, gzip", MARK):
        raw = target.post(SIGN, b"{}", target.bearer, JSON, ("content-encoding", coding))
        assert raw.statuses() == [400], coding


def heads(target: Target) -> None:
    """Long, many, doubled, forbidden."""
    abuse: list[list[tuple[str, str]]] = [
        [("x-a", MARK * 1200)],
        [(f"x-{k}", "") for k in range(5000)],
        [("x-a", "b")] * 3000,
        [("content-length", "1"), ("content-length", "2")],
        [("content-length", "1"), ("transfer-encoding", "chunked")],
        [("transfer-encoding", "chunked, identity")],
        [("transfer-encoding", MARK)],
        [("content-length", "-1")],
        [("content-length", "9" * 400)],
        [(MARK + "\x00", "x")],
        [("x y", "x")],
        [("expect", MARK)],
        [("authorization", f"Bearer {MARK}"), ("authorization", f"Bearer {MARK}")],
        [("host", "a"), ("host", "b")],
        [("accept", ",".join(f"a/{k};q=0.{k}" for k in range(900)))],
        [("x-corr-id", MARK + "\x7f")],
    ]
    for headers in abuse:
        for method in ("GET", "POST"):
            with target.connections(1) as (one,):
                one.send(head(method, "/v1/kms/keys", *headers) + b"0\r\n\r\n", 2.0)
                one.take(1.0)
    pseudo: list[list[Header]] = [
        [*request("GET", "/"), (":path", "/" + MARK)],
        [(":method", "GET"), *request("GET", "/")],
        [*request("GET", "/"), (":status", "200")],
        [*request("GET", "/"), (":unknown", MARK)],
        [(":method", "GET"), (":scheme", "http"), (":authority", "x")],
        [("x-a", "b"), *request("GET", "/")],
        request("GET", ""),
        request("GET", "/" + MARK * 900),
        request("GET", "/\xff\x00"),
        request("G E T", "/"),
        request("CONNECT", "/"),
        [*request("GET", "/"), ("X-Upper", "a")],
        [*request("GET", "/"), ("connection", "close")],
        [*request("GET", "/"), ("te", MARK)],
        [*request("POST", SIGN), ("content-length", "5")],
        [*request("GET", "/"), *[("cookie", "a")] * 2000],
        [*request("GET", "/"), ("x-a", MARK * 1200)],
    ]
    for fields in pseudo:
        with target.connections(1, h2=True) as (one,):
            coded = block(fields)
            first, rest = coded[:16_000], coded[16_000:]
            one.send(frame(HEADERS, END_STREAM | (0 if rest else END_HEADERS), 1, first))
            while rest:
                rest, piece = rest[16_000:], rest[:16_000]
                one.send(frame(CONTINUATION, 0 if rest else END_HEADERS, 1, piece), 1.0)
            one.send(frame(HEADERS, BOTH, 3, block(request("GET", "/v1/kms/keys"))), 1.0)
            one.take(0.3)


def tokens(target: Target) -> None:
    """Made up, and a valid one narrowed in as many ways."""
    made_up = (f"{target.token[:-9]}{k:09d}" for k in range(FLOOD // 2))
    narrowed = (attenuate(target.token, [f"expires = 2100-01-01T00:00:00.{k:06d}Z"]) for k in range(FLOOD // 2))
    for source in (made_up, narrowed):
        ask(target, (request("GET", "/v1/kms/keys?limit=1", ("authorization", f"Bearer {token}")) for token in source))


def names(target: Target) -> None:
    """Keys, tenants, paths and request ids that nobody has heard of."""
    kid, _, version = target.kid.partition("#")
    tenant, purpose, uuid = kid.split("/")

    def asked() -> Iterator[list[Header]]:
        for k in range(FLOOD // 4):
            yield request("GET", f"/v1/kms/keys/{tenant}/{purpose}/{uuid[:-6]}{k:06x}", target.bearer)
            yield request("GET", f"/v1/kms/keys/t{k}/{purpose}/{uuid}", target.bearer)
            yield request("GET", f"/{MARK}/{k}", ("x-corr-id", f"c{k}"))
            yield request(f"M{k}", "/v1/kms/keys", target.bearer)

    assert version
    ask(target, asked())
