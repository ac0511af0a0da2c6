"""The records of a log, one after another, and which of them are wanted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ron_kms.audit.record import Record, decode
from ron_kms.audit.source import Source, read_part
from ron_kms.audit.tiles import ENTRIES, decode_bundle, path
from ron_kms.audit.tree import TILE_WIDTH
from ron_kms.errors import Malformed


class Entry(NamedTuple):
    """A record and its place.

    :ivar number: its index in the log.
    :ivar data: its bytes.
    """

    number: int
    data: bytes
    record: Record


class Wanted(NamedTuple):
    """Which records; None is any.

    :ivar kid: of a key, with its version or without.
    :ivar since: microseconds since 1970, and so is ``until``, which is not included.
    """

    kid: str | None = None
    tenant: str | None = None
    operation: str | None = None
    result: str | None = None
    request_id: str | None = None
    actor: str | None = None
    since: int | None = None
    until: int | None = None

    def has(self, record: Record) -> bool:
        return (
            (self.kid is None or record.kid == self.kid or (record.kid or "").partition("#")[0] == self.kid)
            and (self.tenant is None or record.tenant == self.tenant)
            and (self.operation is None or record.operation == self.operation)
            and (self.result is None or record.result == self.result)
            and (self.request_id is None or record.request_id == self.request_id)
            and (self.actor is None or record.actor == self.actor)
            and (self.since is None or record.time >= self.since)
            and (self.until is None or record.time < self.until)
        )


def read_bundle(source: Source, number: int, width: int) -> list[bytes]:
    """The records of a bundle.

    :raises Malformed: it is missing or not one; its path is named.
    :raises OSError: it cannot be read.
    """
    found = read_part(source, ENTRIES, number, width)
    if found is None:
        raise Malformed(f"{path(ENTRIES, number, width)}: it is missing")
    place, data = found
    try:
        return decode_bundle(data, width if place == path(ENTRIES, number, width) else TILE_WIDTH)[:width]
    except Malformed as error:
        raise Malformed(f"{place}: {error.message}") from None


def read_record(source: Source, index: int, size: int) -> Entry:
    """One record of a log of ``size`` records.

    :raises IndexError: there is no such record.
    :raises Malformed: its bundle is missing, or it is not one.
    """
    if not 0 <= index < size:
        raise IndexError(index)
    number, at = divmod(index, TILE_WIDTH)
    data = read_bundle(source, number, min(TILE_WIDTH, size - number * TILE_WIDTH))[at]
    return Entry(index, data, decode(data))


def read_records(source: Source, first: int, end: int, size: int) -> Iterator[Entry | Malformed]:
    """The records from an index to before another, bundle by bundle; what cannot be read is given as its error.

    :param size: of the log.
    :raises OSError: a bundle cannot be read.
    """
    for number in range(first // TILE_WIDTH, -(-min(end, size) // TILE_WIDTH)):
        start = number * TILE_WIDTH
        try:
            bundle = read_bundle(source, number, min(TILE_WIDTH, size - start))
        except Malformed as error:
            yield error
            continue
        for index, data in enumerate(bundle, start):
            if first <= index < end:
                try:
                    yield Entry(index, data, decode(data))
                except Malformed as error:
                    yield Malformed(f"record {index}: {error.message}")
