"""What is counted for an HTTP/2 connection, its windows, its memory and its frames, stays right however streams end."""

from __future__ import annotations

import h2.settings
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import DataFrame, Frame, RstStreamFrame, WindowUpdateFrame

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


def late_reset(stream: int) -> Frame:
    return RstStreamFrame(stream, error_code=ErrorCodes.CANCEL)


def late_window(stream: int) -> Frame:
    return WindowUpdateFrame(stream, window_increment=1)


def late_data(stream: int) -> Frame:
    return DataFrame(stream, data=b"")
