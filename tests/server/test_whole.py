"""A request that comes in one piece ends as it would if h2 had taken it frame by frame."""

from __future__ import annotations

import struct
from typing import Any

import h2.events
import h2.exceptions
import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.server.guards.frames import Connection, Whole
from ron_kms.server.guards.http2 import _read
from ron_kms.server.guards.limits import Budget, Limits

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + struct.pack("!HBBBL", 0, 0, 4, 0, 0)
BODY = b"0123456789"
DATA, HEADERS, RST, PING, WINDOW = 0, 1, 3, 6, 8
END_STREAM, END_HEADERS, PADDED = 1, 4, 8


class Plain(Connection):
    """Without what is tested."""

    def _whole(self, data: bytes, at: int) -> Whole | None:
        return None


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return struct.pack("!HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload


def block(length: bytes | None, path: bytes = b"/") -> bytes:
    encoder = Encoder()
    encoder.header_table_size = 0
    pairs = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", path), (b":authority", b"x")]
    return encoder.encode([*pairs, *([] if length is None else [(b"content-length", length)])])


BLOCKS = [block(b"10"), block(None), block(b"11"), block(b"0"), block(b"x"), block(b"10", b"/other"), b"\x82", b"\xff"]
FRAMES = st.one_of(
    st.tuples(
        st.just("request"), st.sampled_from([0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7]), st.sampled_from([2, 2, 2, 0, 1, -2])
    ),
    st.tuples(st.just("parted"), st.sampled_from([0, 1]), st.just(2)),
    st.tuples(st.just("padded"), st.sampled_from([0, 1]), st.just(2)),
    st.tuples(st.just("large"), st.just(1), st.just(2)),
    st.tuples(st.sampled_from(["reset", "ping", "window", "late", "answer", "read"]), st.integers(0, 3), st.just(0)),
)


FIRST: list[Any] = [("request", 0, 2), ("request", 0, 2), ("request", 1, 2), *(("answer", n, 0) for n in range(3))]
"""After these the first two blocks are known."""


class Side:
    """A server's connection, and everything that could be told of it."""

    def __init__(self, kind: type[Connection]) -> None:
        self.connection = kind(Limits(streams=6), Budget())
        self.connection.initiate_connection()
        self.events: list[Any] = []
        self.unread: dict[int, tuple[bool, int]] = {}
        self.wholes = 0

    def receive(self, data: bytes) -> None:
        for event in self.connection.receive_data(data):
            if isinstance(event, Whole):
                self.wholes += 1
                self.unread[event.stream_id] = (True, len(event.body))
                asked = event.request
                self.events.append(("request", event.stream_id, asked.method, asked.path, asked.headers))
                if event.body:
                    self.events.append(("data", event.stream_id, event.body))
                self.events.append(("ended", event.stream_id))
            elif isinstance(event, h2.events.RequestReceived):
                asked = _read(event.headers)
                self.events.append(("request", event.stream_id, asked.method, asked.path, asked.headers))
            elif isinstance(event, h2.events.DataReceived):
                self.unread[event.stream_id] = (False, event.flow_controlled_length)
                if event.data:
                    self.events.append(("data", event.stream_id, bytes(event.data)))
            elif isinstance(event, h2.events.StreamEnded):
                self.events.append(("ended", event.stream_id))
            else:
                self.events.append((type(event).__name__,))

    def read(self, stream_id: int) -> None:
        """The application takes a body."""
        whole, size = self.unread.pop(stream_id, (False, 0))
        if whole:
            self.connection.give_back(size)
        elif size:
            self.connection.acknowledge_received_data(size, stream_id)

    def answer(self, stream_id: int) -> None:
        try:
            sent = self.connection.send_whole(stream_id, [(b":status", b"200"), (b"x", b"y")], b"answer")
        except h2.exceptions.ProtocolError:
            sent = None
        self.events.append(("answered", stream_id, sent))

    def state(self) -> Any:
        connection = self.connection
        return (
            self.events,
            connection.data_to_send(),
            connection.open_inbound_streams,
            connection.inbound_flow_control_window,
            connection.outbound_flow_control_window,
            connection.highest_inbound_stream_id,
            connection.state_machine.state,
            sorted(connection.streams),
        )


def play(side: Side, steps: list[Any], cuts: list[int]) -> None:
    """The steps of a client, cut where the network might."""
    number = -1
    side.receive(PREFACE)
    for position, (what, which, step) in enumerate(steps):
        if what in ("answer", "read"):
            getattr(side, what)(max(1, number - 2 * which))
            continue
        number += step
        stream_id = max(1, number)
        if what == "request":
            data = frame(HEADERS, END_HEADERS, stream_id, BLOCKS[which]) + frame(DATA, END_STREAM, stream_id, BODY)
        elif what == "parted":
            data = frame(HEADERS, END_HEADERS, stream_id, BLOCKS[which]) + frame(DATA, 0, stream_id, BODY[:5])
            data += frame(DATA, END_STREAM, stream_id, BODY[5:])
        elif what == "padded":
            data = frame(HEADERS, END_HEADERS, stream_id, BLOCKS[which])
            data += frame(DATA, END_STREAM | PADDED, stream_id, b"\3" + BODY + bytes(3))
        elif what == "large":
            data = frame(HEADERS, END_HEADERS, stream_id, BLOCKS[which]) + frame(
                DATA, END_STREAM, stream_id, bytes(16000)
            )
        elif what == "reset":
            data = frame(RST, 0, stream_id, bytes(4))
        elif what == "ping":
            data = frame(PING, 0, 0, bytes(8))
        elif what == "window":
            data = frame(WINDOW, 0, which and stream_id, struct.pack("!L", 1000))
        else:
            data = frame(DATA, END_STREAM, stream_id, BODY)
        cut = cuts[position % len(cuts)] % (len(data) + 1) if cuts else 0
        for piece in (data[:cut], data[cut:]):
            if piece:
                side.receive(piece)


@given(st.lists(FRAMES, max_size=30), st.lists(st.sampled_from([0, 0, 0, 1, 5, 9, 12, 30]), max_size=5))
def test_as_if_frame_by_frame(steps: list[Any], cuts: list[int]) -> None:
    sides, errors = (Side(Connection), Side(Plain)), []
    for side in sides:
        try:
            play(side, [*FIRST, *steps], cuts)
        except h2.exceptions.ProtocolError as error:
            errors.append(type(error))
    assert errors in ([], [errors[0]] * 2 if errors else [])
    assert sides[0].state() == sides[1].state()
    assert sides[1].wholes == 0


def warm() -> Side:
    """Two requests: the first brings the header table down to 0 as its block says, the second leaves it so."""
    side = Side(Connection)
    play(side, [("request", 0, 2), ("request", 0, 2)], [])
    assert side.wholes == 0
    return side


def test_a_request_with_a_block_that_is_known_is_whole() -> None:
    side = warm()
    side.receive(frame(HEADERS, END_HEADERS, 5, BLOCKS[0]) + frame(DATA, END_STREAM, 5, BODY))
    assert side.wholes == 1
    side.receive(frame(HEADERS, END_HEADERS, 7, BLOCKS[5]) + frame(DATA, END_STREAM, 7, BODY))
    assert side.wholes == 1
    side.answer(5)
    assert 5 not in side.connection.streams


@pytest.mark.parametrize("many", [1, 5])
def test_several_in_one_read(many: int) -> None:
    side = warm()
    for number in (1, 3):
        side.answer(number)
    ids = range(5, 5 + 2 * many, 2)
    side.receive(
        b"".join(frame(HEADERS, END_HEADERS, n, BLOCKS[0]) + frame(DATA, END_STREAM, n, BODY) for n in ids)
        + frame(PING, 0, 0, bytes(8))
    )
    assert side.wholes == many
    assert ("PingReceived",) in side.events


def test_what_was_read_may_be_sent_again() -> None:
    side = Side(Connection)
    window = side.connection.inbound_flow_control_window
    play(side, [("large", 1, 2), ("large", 1, 2)], [])
    side.read(1)
    side.read(3)
    for number in range(5, 33, 2):
        side.receive(frame(HEADERS, END_HEADERS, number, BLOCKS[1]) + frame(DATA, END_STREAM, number, bytes(16000)))
        side.read(number)
        side.answer(number)
    assert side.wholes == 14
    assert side.connection.inbound_flow_control_window > window // 2
