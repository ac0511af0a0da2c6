"""``h2`` with its memory bounded, streams refused singly, and whole answers sent at once."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
from h2.connection import AllowedStreamIDs, ConnectionInputs
from h2.errors import ErrorCodes
from h2.stream import H2Stream, StreamClosedBy, StreamInputs
from h2.utilities import HeaderValidationFlags
from hyperframe.frame import Frame, HeadersFrame, RstStreamFrame

from ron_kms.server.guards.headers import Block, LiteralEncoder, RememberingDecoder
from ron_kms.server.guards.limits import Budget, Limits

ENCODER_TABLE = 4096
WHOLE_BYTES = 256 * 1024
"""The largest body that is sent at once, and so waits in memory for a client that does not read."""
REMEMBERED_STREAMS = 1024

_DATA, _HEADERS = 0, 1
_END_STREAM, _END_HEADERS = 1, 4


class Connection(h2.connection.H2Connection):
    """One connection's frames and states."""

    MAX_CLOSED_STREAMS = REMEMBERED_STREAMS

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
        self._limits = limits
        self._budget = budget

    @property
    def pending(self) -> int:
        """Bytes that wait to be written."""
        return len(self._data_to_send)

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
        self.state_machine.process_input(ConnectionInputs.SEND_HEADERS)
        step = stream.state_machine.process_input
        step(StreamInputs.SEND_HEADERS)
        frames = [_frame(_HEADERS, _END_HEADERS if body else _END_HEADERS | _END_STREAM, stream_id, block)]
        for at in range(0, size, most):
            frames.append(_frame(_DATA, _END_STREAM if at + most >= size else 0, stream_id, body[at : at + most]))
            self._budget.earn(Budget.SENT)
        if body:
            step(StreamInputs.SEND_DATA)
        step(StreamInputs.SEND_END_STREAM)
        stream.outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size
        self._data_to_send += b"".join(frames)
        return True

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
        self._prepare_for_sending(frames)
        return events

    def _acknowledge_settings(self) -> list[Frame]:
        frames = super()._acknowledge_settings()
        # The peer may allow our header table 4 GiB.
        self.encoder.header_table_size = min(self.encoder.header_table_size, ENCODER_TABLE)
        return frames

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
        return headers.validated


def _reset(stream_id: int, code: ErrorCodes) -> Frame:
    frame = RstStreamFrame(stream_id)
    frame.error_code = code
    return frame


def _frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    return struct.pack("!HBBBL", len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream_id) + payload
