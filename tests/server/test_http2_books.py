"""What is counted for an HTTP/2 connection, its windows, its memory and its frames, stays right however streams end."""

from __future__ import annotations

import asyncio
import time

import h2.settings
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, RstStreamFrame, WindowUpdateFrame

from ron_kms.server.guards.http2 import GuardedH2
from ron_kms.server.guards.limits import Limits
from tests.server.edge import Client, serving
from tests.waiting import until

BODY = bytes(8000)
"""Eight of them fill a connection's window."""


@pytest.mark.parametrize("size", [0, 100])
def test_a_peer_that_wants_a_smaller_header_table_is_told_that_it_is(size: int) -> None:
    with serving() as edge, Client(edge.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: size})
        client.flush()
        assert client.alive()
        assert client.h2.decoder.header_table_size == size


@pytest.mark.parametrize("end", [True, False])
def test_what_an_early_answer_left_unread_may_be_sent_again(end: bool) -> None:
    with serving() as edge, Client(edge.port) as client:
        for _ in range(20):
            assert until(lambda: client.h2.outbound_flow_control_window >= len(BODY) or client.read(0.1), 5)
            stream = client.request("/early", BODY, end=end)
            assert client.answer(stream)[0] == 401
            if not end:
                client.h2.end_stream(stream)
                client.flush()
        assert client.alive()


@pytest.mark.parametrize("end", [True, False])
def test_what_a_reset_left_unread_may_be_sent_again(end: bool) -> None:
    with serving() as edge, Client(edge.port) as client:
        assert client.read()
        for number in range(20):
            client.read(0.05)
            assert client.h2.outbound_flow_control_window >= len(BODY)
            stream = client.request("/never", BODY, end=end)
            assert until(lambda: edge.probe.started > number)  # noqa: B023 - called at once
            client.h2.reset_stream(stream)
            client.flush()
        assert client.alive()


def test_a_large_answer_is_counted_until_its_client_has_taken_it() -> None:
    """Also the last one, whose stream has ended as far as HTTP/2 goes."""
    with serving(Limits(response_seconds=60.0)) as edge, Client(edge.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        asked = 0
        while asked < 100:
            client.request("/big/250000")
            asked += 1
            if not until(lambda: edge.probe.started == asked and not edge.probe.running, 1.0):  # noqa: B023 - at once
                break
        assert (edge.probe.started, edge.probe.running) == (asked, 1)
        [connection] = edge.server._connections
        protocol = connection._guarded
        assert isinstance(protocol, GuardedH2)
        [stream] = protocol.streams
        assert stream not in protocol.connection.streams, "its own answer is what waits, not the one before"
        while edge.probe.running:
            assert client.read()


def late_reset(stream: int) -> Frame:
    return RstStreamFrame(stream, error_code=ErrorCodes.CANCEL)


def late_window(stream: int) -> Frame:
    return WindowUpdateFrame(stream, window_increment=1)


def late_data(stream: int) -> Frame:
    return DataFrame(stream, data=b"")


@pytest.mark.parametrize("late", [late_reset, late_window, late_data])
def test_floods_for_streams_that_are_gone_end_their_connection_only(late: object) -> None:
    with serving() as edge, Client(edge.port) as other, Client(edge.port) as client:
        stream = client.request("/", b"", end=False)
        assert until(lambda: edge.probe.running == 1)
        client.h2.reset_stream(stream)
        client.flush()
        assert until(lambda: edge.probe.running == 0)
        frames = late(stream).serialize() * 100  # type: ignore[operator]
        for _ in range(400):
            try:
                client.sock.sendall(frames)
            except OSError:
                break
            client.read(0.001)
            if client.closed:
                break
        assert client.wait_closed()
        assert client.goaway in {ErrorCodes.ENHANCE_YOUR_CALM, None}
        assert other.alive()


@pytest.mark.parametrize("size", [10, 200_000])
def test_a_client_that_says_goodbye_gets_the_answers_that_it_waits_for(size: int) -> None:
    """GOAWAY only says that it begins nothing more (RFC 9113, 6.8)."""
    with serving() as edge, Client(edge.port) as client:
        streams = [client.request(f"/big/{size}", b"", end=False) for _ in range(3)]
        assert until(lambda: edge.probe.running == 3)
        client.sock.sendall(GoAwayFrame(0).serialize())
        for stream in streams:
            client.h2.end_stream(stream)
        client.flush()
        for stream in streams:
            assert client.answer(stream) == [200, bytes(size), True, None]
        assert client.wait_closed()
        assert until(lambda: edge.server.connections == 0)


@pytest.mark.parametrize("code", [ErrorCodes.NO_ERROR, ErrorCodes.PROTOCOL_ERROR])
def test_a_client_that_says_goodbye_and_waits_for_nothing_is_let_go(code: ErrorCodes) -> None:
    with serving() as edge, Client(edge.port) as client:
        assert client.alive()
        if code:
            client.request("/wait")
            assert until(lambda: edge.probe.running == 1)
        client.sock.sendall(GoAwayFrame(0, error_code=code).serialize())
        assert client.wait_closed()
        edge.call(edge.probe.release.set)
        assert until(lambda: edge.server.connections == 0)


@pytest.mark.parametrize("size", [100_000, 300_000, 1_000_000])
@pytest.mark.parametrize("late", [False, True])
def test_large_answers_end_before_a_connection_that_is_closed(size: int, late: bool) -> None:
    with serving() as edge, Client(edge.port) as client:
        if late:
            client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
            client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
            client.flush()
        streams = [client.request(f"/big/{size}", b"", end=False) for _ in range(20 if late else 3)]
        assert until(lambda: edge.probe.running == len(streams))
        edge.call(edge.server.stop_accepting)
        closing = asyncio.run_coroutine_threadsafe(edge.server.close(10), edge.loop)
        for stream in streams:
            client.h2.end_stream(stream)
        client.flush()
        if late:
            time.sleep(0.5)
        for stream in streams:
            status, body, ended, code = client.answer(stream)
            assert (status, len(body), ended, code) == (200, size, True, None)
        closing.result(10)
