"""What is attacked, and what attacks have in common."""

from __future__ import annotations

import contextlib
import itertools
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.counts import count
from tests.hardening.beside import Seen
from tests.hardening.raw import (
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
    settings,
)

MANY = count(40, 200)
"""Connections."""
FLOOD = count(2000, 30_000)
"""Frames or requests."""
WIDE = struct.pack("!L", 2**31 - 1 - 65_535)
BOTH = END_STREAM | END_HEADERS


JSON = ("content-type", "application/json")
SIGN = "/v1/kms/sign"


@dataclass
class Target:
    """A service with small limits, and what the attacker has of it."""

    port: int
    token: str
    """A valid one, of a tenant of its own."""
    kid: str
    seen: Seen
    patience: float
    """Seconds within which the service gives up on a client."""

    @property
    def bearer(self) -> tuple[str, str]:
        return ("authorization", f"Bearer {self.token}")

    def note(self, *connections: Raw) -> None:
        for connection in connections:
            self.seen.statuses.update(connection.statuses())
            self.seen.heard.append(bytes(connection.got))

    @contextlib.contextmanager
    def connections(self, number: int, *, h2: bool = False, window: int | None = None) -> Iterator[list[Raw]]:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(Raw(self.port, window=window)) for _ in range(number)]
            if h2:
                for one in opened:
                    one.h2()
            yield opened
            self.note(*opened)

    def post(self, path: str, body: bytes, *headers: tuple[str, str], seconds: float = 10.0) -> Raw:
        """One request over HTTP/1.1, with its answer."""
        with Raw(self.port) as raw:
            length = () if any(name == "transfer-encoding" for name, _ in headers) else (str(len(body)),)
            extra = [("content-length", value) for value in length]
            raw.send(head("POST", path, *headers, *extra, ("connection", "close")) + body)
            raw.ended(seconds)
            self.note(raw)
            return raw


JSON = ("content-type", "application/json")
SIGN = "/v1/kms/sign"


def drip(connections: list[Raw], byte: Callable[[int], bytes], seconds: float) -> float:
    """Send a little on each now and then, until all are closed; how long that took."""
    began = time.monotonic()
    for turn in itertools.count():
        open_ones = [one for one in connections if one.open]
        if not open_ones or time.monotonic() - began > seconds:
            break
        for one in open_ones:
            one.send(byte(turn), 0.05)
            one.take()
        time.sleep(0.05)
    return time.monotonic() - began


def ask(target: Target, requests: Iterator[list[Header]]) -> None:
    """Over one HTTP/2 connection after another, 64 at a time; their statuses are noted."""
    while several := list(itertools.islice(requests, 512)):
        with Raw(target.port).h2(settings(_4=1 << 20), frame(WINDOW_UPDATE, 0, 0, WIDE)) as one:
            for at in range(0, len(several), 64):
                part = several[at : at + 64]
                one.send(b"".join(frame(HEADERS, BOTH, 2 * (at + k) + 1, block(r)) for k, r in enumerate(part)))
                end = time.monotonic() + 20
                while one.open and time.monotonic() < end:
                    one.take(0.5)
                    done = {stream for kind, stream, _ in one.frames() if kind in (HEADERS, RST_STREAM)}
                    if len(done) >= at + len(part):
                        break
            target.note(one)
