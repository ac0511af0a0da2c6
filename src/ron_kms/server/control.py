"""What supervisor and worker tell each other over the socket that a worker inherits.

First the supervisor sends :class:`Start` and, behind it, the 32 bytes of the root key, which go from guarded memory to
guarded memory. From then on the worker reports. New settings come in two steps, so that all workers have them or none:
:class:`Reload` and, when every worker has answered :class:`Prepared`, :class:`Decide`. When either end closes, the
other knows that its peer is gone.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import msgspec

from ron_kms.config import Settings
from ron_kms.server.usage import Usage

PACKET_BYTES = 64 * 1024


class Start(msgspec.Struct, frozen=True, tag=True):
    """What a worker needs to know; ``slot`` is its number, the same for whoever replaces it."""

    settings: Settings
    slot: int
    metrics: Path
    """Folder of the metrics of all workers."""


class Report(msgspec.Struct, frozen=True, tag=True):
    """A worker's state, told when it is ready and every half second from then on."""

    ready: dict[str, bool]
    inflight: int
    connections: int
    usage: Usage


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Why a worker could not start."""

    message: str
    hint: str = ""


class Reload(msgspec.Struct, frozen=True, tag=True):
    """Make ready for these settings and change nothing yet; ``number`` is the reload's."""

    number: int
    settings: Settings


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """A worker is ready for the settings of a reload, or says why it cannot be."""

    number: int
    fault: str = ""


class Decide(msgspec.Struct, frozen=True, tag=True):
    """Put what was prepared in force, or forget it."""

    number: int
    apply: bool


Frame = Start | Report | Failed | Reload | Prepared | Decide


def _encode_path(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise NotImplementedError


def _decode_path(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError


_encoder = msgspec.msgpack.Encoder(enc_hook=_encode_path)
_decoder: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame, dec_hook=_decode_path)


def encode(frame: Frame) -> bytes:
    """A frame as one packet: it arrives whole or, where there is no room for it, not at all."""
    return _encoder.encode(frame)


def decode(packet: bytes) -> Frame:
    """:raises EOFError: the packet is empty, which is how a socket says that the peer is gone."""
    if not packet:
        raise EOFError
    return _decoder.decode(packet)


def pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's end."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
