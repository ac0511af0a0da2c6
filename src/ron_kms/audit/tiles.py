"""Where the parts of a log are, and the bundles of its records, as C2SP tlog-tiles says.

Paths are relative to the log's folder or URL: ``tile/<level>/<number>`` and ``tile/entries/<number>``, with
``.p/<width>`` behind them where it is partial.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from ron_kms.audit.record import MAX_RECORD
from ron_kms.audit.tree import TILE_WIDTH
from ron_kms.errors import Malformed

ENTRIES: Literal["entries"] = "entries"
MAX_BUNDLE = TILE_WIDTH * (2 + MAX_RECORD)
"""Bytes of a bundle of records."""
MAX_PATH = 64
"""Characters of a path."""

_LENGTH = 2
_MAX_NUMBER = 2**64
_PATH = re.compile(r"tile/(entries|[0-9]|[1-5][0-9]|6[0-3])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


class Place(NamedTuple):
    """What a path means.

    :ivar level: of the tile; ``entries`` for a bundle of records.
    :ivar width: 256 for a full one.
    """

    level: int | Literal["entries"]
    number: int
    width: int


def path(level: int | Literal["entries"], number: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, or of a bundle of records: ``tile/0/x001/x234/067``, ``tile/entries/000.p/5``."""
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    text = f"tile/{level}/" + "".join(f"x{part}/" for part in parts[:-1]) + parts[-1]
    return text if width == TILE_WIDTH else f"{text}.p/{width}"


def parse(text: str) -> Place:
    """What a path means; each place has one path.

    :raises Malformed: it is not the path of a tile or bundle.
    """
    match = _PATH.fullmatch(text) if len(text) <= MAX_PATH else None
    if match is None:
        raise Malformed("not the path of a tile")
    level = ENTRIES if match[1] == ENTRIES else int(match[1])
    place = Place(level, int(match[2].replace("x", "").replace("/", "")), int(match[3] or TILE_WIDTH))
    if place.width > TILE_WIDTH or place.number >= _MAX_NUMBER or path(*place) != text:
        raise Malformed("not the path of a tile")
    return place


def encode_bundle(records: Iterable[bytes]) -> bytes:
    """Records as a bundle: each with its length before it, two bytes, big-endian."""
    return b"".join([part for record in records for part in (len(record).to_bytes(_LENGTH, "big"), record)])


def decode_bundle(data: bytes, width: int) -> list[bytes]:
    """The records of a bundle.

    :param width: how many it has.
    :raises Malformed: it ends early or late, or a record is empty or longer than one may be; the byte is named.
    """
    records = []
    at = 0
    for done in range(width):
        start = at + _LENGTH
        if start > len(data):
            raise Malformed(f"the bundle ends at byte {len(data)}, after {done} of {width} records")
        size = int.from_bytes(data[at:start], "big")
        if not 0 < size <= MAX_RECORD:
            raise Malformed(f"the record at byte {at} is said to have {size} bytes")
        at = start + size
        if at > len(data):
            raise Malformed(f"the bundle ends at byte {len(data)}, within record {done + 1} of {width}")
        records.append(data[start:at])
    if at != len(data):
        raise Malformed(f"the bundle has {len(data) - at} bytes after its {width} records, from byte {at}")
    return records
