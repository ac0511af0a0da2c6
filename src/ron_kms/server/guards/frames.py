"""``h2`` with its memory bounded, streams refused singly, and whole requests and answers taken and sent at once."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import AllowedStreamIDs, ConnectionInputs, ConnectionState
from h2.errors import ErrorCodes
from h2.stream import H2Stream, StreamClosedBy, StreamInputs, StreamState
from h2.utilities import HeaderValidationFlags
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from ron_kms.server.guards.headers import Block, LiteralEncoder, RememberingDecoder
from ron_kms.server.guards.limits import Budget, Limits

ENCODER_TABLE = 4096
WHOLE_BYTES = 256 * 1024
"""The largest body that is sent at once, and so waits in memory for a client that does not read."""
REMEMBERED_STREAMS = 1024

_DATA, _HEADERS = 0, 1
_END_STREAM, _END_HEADERS = 1, 4

_HEAD = struct.Struct("!HBBBL")
"""Of a frame: its length in two parts, its kind, its flags, its stream."""
_OVERHEAD = _HEAD.size
_LAST_STREAM = 2**31 - 1

_LATE = {RstStreamFrame: Budget.CONTROL, DataFrame: Budget.CONTROL, WindowUpdateFrame: Budget.WINDOW}


class Whole(NamedTuple):
    """A request that came in one piece: a block of headers that has come before, and its body in one frame.

    ``h2`` takes four times as long to come to the same; most requests are such.

    :ivar request: what was made of its headers when they first came.
    """

    stream_id: int
    request: Any
    body: bytes


class Connection(h2.connection.H2Connection):
    """One connection's frames and states."""

    MAX_CLOSED_STREAMS = REMEMBERED_STREAMS
    decoder: RememberingDecoder

    def __init__(self, limits: Limits, budget: Budget) -> None:
        super().__init__(h2.config.H2Configuration(client_side=False, header_encoding=None))
        codes = h2.settings.SettingCodes
        self.local_settings = h2.settings.Settings(
            client=False,
            initial_values={
                codes.MAX_CONCURRENT_STREAMS: limits.streams,
                codes.MAX_HEADER_LIST_SIZE: limits.header_bytes,
            },
        )
        self.decoder = RememberingDecoder(limits.header_bytes)
        self.encoder = LiteralEncoder()
        self.refused = 0
        self.late = 0.0
        """What frames that told nobody anything, for their streams are gone, have cost since it was looked at."""
        self._limits = limits
        self._budget = budget

    @property
    def pending(self) -> int:
        """Bytes that wait to be written."""
        return len(self._data_to_send)

    def receive_data(self, data: Any) -> list[Any]:
        """As h2 does it, but for whole requests, each of which is one event of its own."""
        buffer = self.incoming_buffer
        events: list[Any] = []
        at, size = 0, len(data)
        while at < size and not (buffer._data or buffer._headers_buffer or buffer._preamble_len):
            whole = self._whole(data, at)
            if whole is not None:
                events.append(whole)
                at += 2 * _OVERHEAD + int.from_bytes(data[at : at + 3]) + len(whole.body)
            else:
                end = at + _OVERHEAD + int.from_bytes(data[at : at + 3])
                events += super().receive_data(data[at:end])
                at = end
        if at < size:
            events += super().receive_data(data[at:])
        return events

    def _whole(self, data: bytes, at: int) -> Whole | None:
        """The request that begins here, begun as h2 would; None where it is not whole or anything about it is not as
        usual: then h2 looks at it."""
        if len(data) < at + 2 * _OVERHEAD or self.state_machine.state is not ConnectionState.SERVER_OPEN:
            return None
        high, low, kind, flags, stream_id = _HEAD.unpack_from(data, at)
        begin = at + _OVERHEAD
        then = begin + (high << 8 | low)
        if kind != _HEADERS or flags != _END_HEADERS or len(data) < then + _OVERHEAD:
            return None
        high, low, kind, flags, same = _HEAD.unpack_from(data, then)
        size = high << 8 | low
        body = data[then + _OVERHEAD : then + _OVERHEAD + size]
        if kind != _DATA or flags != _END_STREAM or same != stream_id or len(body) < size:
            return None
        block = self.decoder.known(data[begin:then])
        window = self._inbound_flow_control_window_manager
        if (
            block is None
            or block.request is None
            or block.body_size not in (None, size)
            or max(size, then - begin) > self.max_inbound_frame_size
            or size > min(window.current_window_size, self.local_settings.initial_window_size)
            or not self.highest_inbound_stream_id < stream_id <= _LAST_STREAM
            or stream_id % 2 == 0
            or len(self.streams) >= self._limits.streams
        ):
            return None
        stream = self._begin_new_stream(stream_id, AllowedStreamIDs.ODD)
        window.window_consumed(size)
        state = stream.state_machine
        state.client, state.headers_received, state.state = False, True, StreamState.HALF_CLOSED_REMOTE
        return Whole(stream_id, block.request, body)

    def give_back(self, size: int) -> None:
        """So much of a whole request's body was read, and may be sent again on other streams."""
        increment = self._inbound_flow_control_window_manager.process_bytes(size)
        if increment:
            frame = WindowUpdateFrame(0)
            frame.window_increment = increment
            self._prepare_for_sending([frame])

    def send_data(self, *args: Any, **kwargs: Any) -> None:
        super().send_data(*args, **kwargs)
        self._budget.earn(Budget.SENT)

    def send_whole(self, stream_id: int, head: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """An answer at once, its frames behind one another.

        :returns: False, and nothing was done, where it is large or the client has no window for all of it.
        :raises h2.exceptions.ProtocolError: the stream or the connection is gone.
        """
        stream = self._get_stream_by_id(stream_id)
        size, most = len(body), self.max_outbound_frame_size
        if size > min(WHOLE_BYTES, self.outbound_flow_control_window, stream.outbound_flow_control_window):
            return False
        block = self.encoder.encode(head)
        if len(block) > most:
            raise h2.exceptions.ProtocolError("the head of an answer is too long")
        self._step_to_the_end(stream, body)
        frames = [_frame(_HEADERS, _END_HEADERS if body else _END_HEADERS | _END_STREAM, stream_id, block)]
        for at in range(0, size, most):
            frames.append(_frame(_DATA, _END_STREAM if at + most >= size else 0, stream_id, body[at : at + most]))
            self._budget.earn(Budget.SENT)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        self._data_to_send += b"".join(frames)
        return True

    def _step_to_the_end(self, stream: H2Stream, body: bytes) -> None:
        """What becomes of a stream when its answer is sent."""
        state = stream.state_machine
        if (
            state.state is StreamState.HALF_CLOSED_REMOTE
            and not state.headers_sent
            and self.state_machine.state is ConnectionState.SERVER_OPEN
        ):
            # The usual case: its request has ended, so that nobody needs it any more.
            del self.streams[stream.stream_id]
            self._closed_streams[stream.stream_id] = StreamClosedBy.SEND_END_STREAM
            return
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        state.process_input(StreamInputs.SEND_HEADERS)
        if body:
            state.process_input(StreamInputs.SEND_DATA)
        state.process_input(StreamInputs.SEND_END_STREAM)

    def check_header_block(self) -> None:
        """:raises h2.exceptions.ProtocolError: a header block in pieces (CONTINUATION) is already too long."""
        pieces = self.incoming_buffer._headers_buffer
        if pieces and sum(len(piece.data) for piece in pieces) > self._limits.header_bytes:
            self._terminate_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            raise h2.exceptions.ProtocolError("header block too long")

    def _receive_frame(self, frame: Frame) -> list[h2.events.Event]:
        """As ``h2`` does it, but without a text of each frame for a log that there is not."""
        frames: list[Frame]
        events: list[h2.events.Event]
        try:
            frames, events = self._frame_dispatch_table[frame.__class__](frame)
        except h2.exceptions.StreamClosedError as error:
            if not self._stream_is_closed_by_reset(error.stream_id):
                raise
            frames = [_reset(error.stream_id, error.error_code)]
            events = error._events
        except h2.exceptions.StreamIDTooLowError as error:
            if self._stream_is_closed_by_end(error.stream_id):
                raise h2.exceptions.StreamClosedError(error.stream_id) from error
            if not self._stream_is_closed_by_reset(error.stream_id):
                raise
            frames, events = [_reset(error.stream_id, ErrorCodes.STREAM_CLOSED)], []
        if not events and frame.__class__ in _LATE:
            self.late += _LATE[frame.__class__]
        self._prepare_for_sending(frames)
        return events

    def _acknowledge_settings(self) -> list[Frame]:
        frames = super()._acknowledge_settings()
        # The peer may allow our header table 4 GiB.
        self.encoder.header_table_size = min(self.encoder.header_table_size, ENCODER_TABLE)
        return frames

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        if frame.error_code:
            return super()._receive_goaway_frame(frame)
        # The client begins nothing more and waits for what it has begun; h2 would throw that away.
        event = h2.events.ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR
        return [], [event]

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        stream.__class__ = _Stream  # h2 names the class itself
        return stream

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        stream_id, most = frame.stream_id, self._limits.streams
        # Streams that have ended count until h2 looks, which it does here and there anyway.
        if stream_id in self.streams or stream_id % 2 == 0 or len(self.streams) < most:
            return super()._receive_headers_frame(frame)
        if self.open_inbound_streams < most:
            return super()._receive_headers_frame(frame)
        # Both sides' header tables must stay the same, so the headers of a refused stream are read too.
        h2.connection._decode_headers(self.decoder, frame.data)
        if stream_id <= self.highest_inbound_stream_id:
            raise h2.exceptions.StreamClosedError(stream_id)
        self.state_machine.process_input(ConnectionInputs.RECV_HEADERS)
        self.highest_inbound_stream_id = stream_id
        self._closed_streams[stream_id] = StreamClosedBy.SEND_RST_STREAM
        self.refused += 1
        return [_reset(stream_id, ErrorCodes.REFUSED_STREAM)], []


class _Stream(H2Stream):
    """Checks a header block once for all the requests that begin with it."""

    def _process_received_headers(
        self, headers: Any, header_validation_flags: HeaderValidationFlags, header_encoding: Any
    ) -> Any:
        if header_validation_flags.is_trailer or not isinstance(headers, Block):
            return super()._process_received_headers(headers, header_validation_flags, header_encoding)
        if headers.validated is None:
            checked = super()._process_received_headers(headers, header_validation_flags, header_encoding)
            headers.validated = Block(checked)
            headers.validated.body_size = _announced(checked)
        return headers.validated


def _announced(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    """The content-length; where there are several, h2 has seen that they agree."""
    return next((int(value) for name, value in headers if name == b"content-length" and value.isdigit()), None)


def _reset(stream_id: int, code: ErrorCodes) -> Frame:
    frame = RstStreamFrame(stream_id)
    frame.error_code = code
    return frame


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload
