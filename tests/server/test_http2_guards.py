"""Each known fault of Hypercorn's HTTP/2, attacked over a real connection."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import struct
import subprocess
import time

import h2.exceptions
import h2.settings
import pytest
from h2.errors import ErrorCodes
from hyperframe.frame import ContinuationFrame, Frame, HeadersFrame, PingFrame, PriorityFrame, SettingsFrame

from ron_kms.server.guards.limits import Limits
from tests.counts import count
from tests.server.edge import Client, serving
from tests.waiting import until

QUICK = Limits(sweep_seconds=0.05, request_seconds=0.4, response_seconds=0.4, idle_seconds=0.4, linger_seconds=0.2)


@pytest.mark.skipif(shutil.which("h2load") is None, reason="h2load (nghttp2) is not installed")
def test_every_one_of_20000_requests_is_answered() -> None:
    with serving() as edge:
        command = ["h2load", "-n20000", "-c8", "-m8", f"http://127.0.0.1:{edge.port}/"]
        out = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True).stdout
    assert "20000 done, 20000 succeeded, 0 failed, 0 errored, 0 timeout" in out
    assert re.search(r"status codes: 20000 2xx", out)


def test_streams_in_excess_are_refused_one_by_one() -> None:
    with serving(Limits(streams=4)) as edge, Client(edge.port) as client:
        waiting = [client.request("/wait", flush=False) for _ in range(4)]
        excess = [client.request("/wait", b"body", flush=False) for _ in range(6)]
        client.flush()
        for stream in excess:
            assert client.answer(stream)[3] == ErrorCodes.REFUSED_STREAM
        assert until(lambda: edge.probe.started == 4)
        edge.call(edge.probe.release.set)
        assert [client.answer(stream)[0] for stream in waiting] == [200] * 4
        assert client.alive()
        assert edge.probe.started == 5


def test_a_clients_first_flight_before_it_knows_the_limit() -> None:
    with serving() as edge, Client(edge.port) as client:
        streams = [client.request("/", flush=False) for _ in range(100)]
        client.flush()
        assert {client.answer(stream)[0] for stream in streams} == {200}


def test_data_after_an_early_answer_is_taken_and_forgotten() -> None:
    with serving() as edge, Client(edge.port) as client:
        stream = client.request("/early", b"x" * 1000, end=False)
        assert client.answer(stream)[:3] == [401, b"no", True]
        sent = 0
        while sent < 500_000:  # many windows' worth: they must be given back
            size = min(client.h2.local_flow_control_window(stream), 16_000)
            if size == 0:
                assert client.read()
                continue
            client.h2.send_data(stream, bytes(size))
            client.flush()
            sent += size
        client.h2.end_stream(stream)
        client.flush()
        assert client.alive()
        assert client.answers[stream][3] is None


def test_an_endless_body_after_an_answer_is_stopped_without_losing_the_connection() -> None:
    with serving(Limits(discard_bytes=100_000)) as edge, Client(edge.port) as client:
        stream = client.request("/early", b"x", end=False)
        client.answer(stream)
        while client.answers[stream][3] is None:
            size = min(client.h2.local_flow_control_window(stream), 16_000)
            if size:
                client.h2.send_data(stream, bytes(size))
                client.flush()
            elif not client.read():
                break
            client.read(0.01)
        assert client.answers[stream][3] == ErrorCodes.NO_ERROR
        assert client.alive()


def test_a_body_that_nobody_reads_holds_up_only_itself() -> None:
    with serving() as edge, Client(edge.port) as client:
        stream = client.request("/never", b"", end=False)
        for _ in range(200):  # Hypercorn's queue takes ten
            client.h2.send_data(stream, b"y" * 10)
        client.flush()
        assert client.alive()
        edge.call(edge.probe.release.set)
        assert client.answer(stream)[0] == 200


def test_a_large_body_passes_through_small_windows() -> None:
    with serving() as edge, Client(edge.port) as client:
        stream = client.request("/", b"", end=False)
        sent = 0
        while sent < 1_000_000:
            size = min(client.h2.local_flow_control_window(stream) - 8, 16_000, 1_000_000 - sent)
            if size <= 0:
                assert client.read()
                continue
            client.h2.send_data(stream, bytes(size), pad_length=7)
            client.flush()
            sent += size
        client.h2.end_stream(stream)
        client.flush()
        assert client.answer(stream)[1] == b"1000000"


def test_requests_in_flight_have_no_read_timeout() -> None:
    with serving(QUICK) as edge, Client(edge.port) as client:
        stream = client.request("/wait")
        time.sleep(1.0)  # longer than every timeout of QUICK
        edge.call(edge.probe.release.set)
        assert client.answer(stream)[0] == 200


def test_a_slow_body_is_reset_and_the_connection_lives() -> None:
    with serving(QUICK) as edge, Client(edge.port) as client:
        stream = client.request("/", b"a", end=False)
        start = time.monotonic()
        while client.answers.get(stream, [None] * 4)[3] is None and time.monotonic() - start < 5:
            client.h2.send_data(stream, b"a")
            client.flush()
            client.read(0.05)
        assert client.answers[stream][3] == ErrorCodes.CANCEL
        assert time.monotonic() - start < 2
        assert client.alive()


def test_a_reader_that_opens_no_window_is_reset_and_the_connection_lives() -> None:
    with serving(QUICK) as edge, Client(edge.port, acknowledge=False) as client:
        stream = client.request("/big/200000")
        assert client.answer(stream)[3] == ErrorCodes.CANCEL
        assert until(lambda: edge.probe.running == 0)
        client.h2.acknowledge_received_data(65_535, stream)  # the connection's own window, so that others get through
        client.flush()
        assert client.alive()


def test_a_reader_of_the_socket_that_stops_is_cut_off() -> None:
    with serving(QUICK) as edge, Client(edge.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        client.flush()
        for _ in range(8):
            client.request("/big/8000000")
        assert until(lambda: edge.server.connections == 0)
        assert until(lambda: edge.probe.running == 0)


def test_requests_are_bounded_over_all_connections() -> None:
    with serving(Limits(requests=64)) as edge, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Client(edge.port)) for _ in range(8)]
        for client in clients:
            for _ in range(32):
                client.request("/never", b"x", end=False)
        assert until(lambda: edge.server.load.total == edge.probe.running >= 16)
        assert edge.probe.running <= 64
        with Client(edge.port) as other:
            assert other.alive(), "nobody takes the last place"
        edge.call(edge.probe.release.set)
        assert until(lambda: edge.server.load.total == 0)


def test_who_does_not_read_is_not_answered_for_ever() -> None:
    """Answers are whole as far as HTTP/2 goes, so their streams are free again: only the socket is full."""
    with serving(Limits(response_seconds=60.0)) as edge, Client(edge.port, acknowledge=False) as client:
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        for asked in range(0, 1024, 16):
            if not until(lambda: edge.probe.started == asked, 1.0):  # noqa: B023 - called at once
                break
            for _ in range(16):
                client.request("/big/100000", flush=False)
            client.flush()
        # Those whose answers the buffers of the sockets have taken, and one flight of requests.
        assert edge.probe.started < 256


def test_answers_to_a_client_that_does_not_read_take_little_memory() -> None:
    """Whatever windows it opens, and however many requests it sends: the next answer waits for the one before."""
    with serving() as edge, Client(edge.port) as client:
        client.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
        client.h2.increment_flow_control_window(2**31 - 1 - 65_535)
        client.read()  # our own settings
        most = 0
        for _ in range(30):
            with contextlib.suppress(h2.exceptions.TooManyStreamsError):
                for _ in range(20):
                    client.request("/big/100000", flush=False)
            client.flush()
            time.sleep(0.02)
            for connection in list(edge.server._connections):
                protocol = connection._guarded
                assert protocol is not None
                most = max(most, connection.writer.transport.get_write_buffer_size() + protocol.connection.pending)
        assert until(lambda: edge.probe.running > 20), "answers wait"
        assert most < 500_000
        seen = edge.probe.started
        while len([answer for answer in client.answers.values() if answer[2]]) < seen:
            assert client.read()
        assert client.alive()


def test_a_stream_reset_while_its_answer_waits_for_a_window_leaves_nothing_behind() -> None:
    with serving() as edge, Client(edge.port, acknowledge=False) as client:
        stream = client.request("/big/200000")
        while len(client.answers.get(stream, [0, b""])[1]) < 65_535:
            assert client.read()
        client.h2.reset_stream(stream)
        client.flush()
        assert until(lambda: edge.probe.running == 0)


def test_an_answer_broken_off_is_not_passed_off_as_whole() -> None:
    with serving() as edge, Client(edge.port) as client:
        answer = client.answer(client.request("/break"))
        assert answer[2] is False
        assert answer[3] == ErrorCodes.INTERNAL_ERROR
        assert client.alive()


def test_idle_connections_are_closed_politely() -> None:
    with serving(QUICK) as edge, Client(edge.port) as client:
        assert client.alive()
        assert client.wait_closed()
        assert client.goaway == ErrorCodes.NO_ERROR


def test_a_connection_that_says_nothing_is_closed() -> None:
    with serving(QUICK) as edge, socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock:
        assert sock.recv(100) == b""


def _flood(frames: bytes, port: int) -> int | None:
    """Sends frames for as long as it is let, and says how it was told to go."""
    with Client(port) as client:
        client.read()
        for _ in range(200):
            try:
                client.sock.sendall(frames)
            except OSError:
                break
            client.read(0.001)
            if client.closed:
                break
        client.wait_closed()
        assert client.closed
        return client.goaway


def _ping() -> bytes:
    return PingFrame(0, opaque_data=b"12345678").serialize()


def _settings() -> bytes:
    return SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 4096}).serialize()


def _priority() -> bytes:
    return PriorityFrame(1, depends_on=3, stream_weight=1).serialize()


@pytest.mark.parametrize("frame", [_ping, _settings, _priority])
def test_floods_of_control_frames_end_their_connection_only(frame: object) -> None:
    with serving() as edge, Client(edge.port) as other:
        assert other.alive()
        assert _flood(frame() * 100, edge.port) in {ErrorCodes.ENHANCE_YOUR_CALM, None}  # type: ignore[operator]
        assert other.alive()


def test_rapid_resets_end_their_connection() -> None:
    with serving() as edge, Client(edge.port) as other, Client(edge.port) as client:
        client.read()
        try:
            for _ in range(count(1_000, 20_000)):
                client.h2.reset_stream(client.request("/wait", flush=False))
                client.flush()
        except OSError:
            pass
        assert client.wait_closed()
        assert edge.probe.started < 400
        assert other.alive()


def test_cancelling_now_and_then_is_fine() -> None:
    with serving() as edge, Client(edge.port) as client:
        for _ in range(100):
            client.h2.reset_stream(client.request("/wait"))
            client.flush()
        assert client.alive()


def test_a_flood_of_empty_data_frames_ends() -> None:
    with serving() as edge, Client(edge.port) as client:
        stream = client.request("/", b"x", end=False)
        try:
            for _ in range(3_000):
                client.h2.send_data(stream, b"")
            client.flush()
        except OSError:
            pass
        assert client.wait_closed()


def test_a_header_bomb_and_endless_continuations_are_bounded() -> None:
    with serving() as edge:
        with Client(edge.port) as client:
            headers = [(":method", "GET"), (":path", "/"), (":scheme", "http"), (":authority", "x")]
            client.h2.send_headers(1, [*headers, ("x-bomb", "b" * 4000), *[("x-bomb", "b" * 4000)] * 50])
            client.flush()
            assert client.wait_closed()
            assert client.goaway is not None
        with Client(edge.port) as client:
            client.read()
            head = HeadersFrame(1, data=bytes(16_000)).serialize()
            more = ContinuationFrame(1, data=bytes(16_000)).serialize()
            with contextlib.suppress(OSError):
                client.sock.sendall(head + more * 60)
            assert client.wait_closed()
        assert edge.probe.started == 0


def test_a_peer_cannot_make_our_header_table_grow() -> None:
    with serving() as edge, Client(edge.port) as client:
        client.h2.decoder.max_allowed_table_size = 2**24
        frame = SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 2**24})
        client.sock.sendall(frame.serialize())
        assert client.alive()
        assert client.h2.decoder.header_table_size == 4096
        (connection,) = edge.server._connections
        assert connection._guarded.connection.encoder.header_table_size == 4096  # type: ignore[union-attr]


@pytest.mark.parametrize("pseudo", [(":path", b"/\xc3\xa9"), (":method", b"G\xc3")])
def test_names_that_are_not_ascii_cost_their_stream_only(pseudo: tuple[str, bytes]) -> None:
    with serving() as edge, Client(edge.port) as client:
        headers = {":method": b"GET", ":path": b"/", ":scheme": b"http", ":authority": b"x", pseudo[0]: pseudo[1]}
        client.h2.send_headers(1, [(name.encode(), value) for name, value in headers.items()], end_stream=True)
        client.flush()
        assert client.answer(1)[3] == ErrorCodes.PROTOCOL_ERROR
        assert client.alive()


def test_connect_is_refused() -> None:
    with serving() as edge, Client(edge.port) as client:
        client.h2.send_headers(1, [(":method", "CONNECT"), (":authority", "x:1")])
        client.flush()
        assert client.answer(1)[3] == ErrorCodes.PROTOCOL_ERROR
        assert client.alive()


def test_garbage_frames_end_their_connection_only() -> None:
    with serving() as edge, Client(edge.port) as other:
        for garbage in (b"\xff" * 1000, struct.pack(">I", 1) * 50, Frame.__name__.encode() * 100, bytes(1000)):
            with Client(edge.port) as client:
                client.sock.sendall(garbage)
                client.sock.shutdown(socket.SHUT_WR)
                try:
                    assert client.wait_closed()
                except h2.exceptions.ProtocolError:
                    pytest.fail("the server answered with something that is not HTTP/2")
        assert other.alive()


def test_too_many_connections() -> None:
    with serving(Limits(connections=3)) as edge:
        held = [Client(edge.port) for _ in range(3)]
        try:
            assert all(client.alive() for client in held)
            with (
                socket.create_connection(("127.0.0.1", edge.port), timeout=5) as sock,
                contextlib.suppress(ConnectionResetError),
            ):
                assert sock.recv(1) == b""
            assert edge.server.refused == 1
            assert all(client.alive() for client in held)
        finally:
            for client in held:
                client.sock.close()
        assert until(lambda: edge.server.connections == 0)
        with Client(edge.port) as client:
            assert client.alive()


def test_closing_lets_requests_finish_and_says_goodbye() -> None:
    with serving() as edge, Client(edge.port) as busy, Client(edge.port) as idle:
        assert idle.alive()
        stream = busy.request("/wait")
        assert until(lambda: edge.probe.running == 1)
        edge.loop.call_soon_threadsafe(edge.loop.call_later, 0.3, edge.probe.release.set)
        edge.close(5)
        assert busy.answer(stream)[:3] == [200, b"0", True]
        assert busy.wait_closed()
        assert busy.goaway == 0
        assert idle.wait_closed()
        assert idle.goaway == 0


def test_closing_does_not_wait_longer_than_told() -> None:
    with serving() as edge, Client(edge.port) as client:
        client.request("/wait")
        assert until(lambda: edge.probe.running == 1)
        start = time.monotonic()
        edge.close(0.3)
        assert time.monotonic() - start < 1.5
        assert client.wait_closed()
