"""The journal of a log: what was appended since the last full bundles of records, in files that are filled one by one.

A file, named after the index of its first record in 20 digits, is a row of groups. A group is what one write has
written: its length, the index of its first record, how many records were known to be durable when it was written, the
count of its records (4, 8, 8 and 4 bytes, big-endian), 16 bytes of BLAKE3 over these and what follows; then the records
as a bundle has them. So a group that was cut off by a crash is told from one that was changed later: of two bad ends
only the first is followed by nothing that was written after it had become durable.

A file is made full of zeros, which groups take the place of: so a sync has the records to bring to the disk and not a
new size as well, which would be a commit of the file system's own journal. Zeros up to its end are room, and no group.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from blake3 import blake3

from ron_kms.audit.tiles import decode_bundle, encode_bundle
from ron_kms.disk import sync_path
from ron_kms.errors import Malformed

FOLDER = "journal"
SEGMENT_BYTES = 1024 * 1024
"""From this size on a file is followed by another."""

_HEAD = struct.Struct(">IQQI")
_SUM = 16
GROUP_HEAD = _HEAD.size + _SUM
"""Bytes of a group before its records."""
_NAME = re.compile(r"[0-9]{20}")
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW


class Group(NamedTuple):
    """Records that were written together.

    :ivar first: index of the first one.
    :ivar durable: how many records of the log were known to be durable before.
    :ivar start: where in the file it begins.
    """

    first: int
    durable: int
    start: int
    records: list[bytes]


class Segment(NamedTuple):
    """A file of the journal as it was read.

    :ivar first: index of its first record, by its name.
    :ivar groups: up to the first bad one.
    :ivar good: bytes of these.
    :ivar size: bytes of the file without the room behind the last one that is not zero; never less than ``good``.
    :ivar later: the largest ``durable`` of groups behind the bad one; 0 where there is none.
    """

    path: Path
    first: int
    groups: list[Group]
    good: int
    size: int
    later: int

    @property
    def end(self) -> int:
        """Index behind its last record."""
        return self.groups[-1].first + len(self.groups[-1].records) if self.groups else self.first


def encode_group(first: int, durable: int, records: Sequence[bytes]) -> bytes:
    """The bytes of a group."""
    body = encode_bundle(records)
    head = _HEAD.pack(len(body), first, durable, len(records))
    return b"".join((head, blake3(head + body).digest(_SUM), body))


def read_segments(folder: Path, *, sync: bool = True) -> list[Segment]:
    """All files of a journal, in order.

    :param sync: have them on the disk, too: what a killed process has written is the kernel's until then.
    :raises OSError: one cannot be read, or the folder is not there.
    """
    return [_read(path, sync) for path in sorted(folder.iterdir()) if _NAME.fullmatch(path.name)]


def _read(path: Path, sync: bool) -> Segment:
    with path.open("rb") as file:
        if sync:
            os.fsync(file.fileno())
        data = file.read()
    groups: list[Group] = []
    at = 0
    while (group := _group(data, at)) is not None:
        groups.append(group)
        at = _end(data, at)
    size = max(at, len(data.rstrip(b"\0")))
    return Segment(path, int(path.name), groups, at, size, _behind(data, at, size, int(path.name)))


def _group(data: bytes, at: int) -> Group | None:
    start = at + _HEAD.size + _SUM
    if start > len(data):
        return None
    head = data[at : at + _HEAD.size]
    length, first, durable, count = _HEAD.unpack(head)
    body = data[start : start + length]
    if len(body) != length or blake3(head + body).digest(_SUM) != data[at + _HEAD.size : start]:
        return None
    try:
        return Group(first, durable, at, decode_bundle(body, count))
    except Malformed:
        return None


def _end(data: bytes, at: int) -> int:
    length: int = _HEAD.unpack_from(data, at)[0]
    return at + _HEAD.size + _SUM + length


def _behind(data: bytes, at: int, size: int, first: int) -> int:
    """Looks for whole groups behind a bad one, whose own length cannot be trusted.

    :param size: where the room begins.
    :param first: index of the file's first record.
    """
    durable = 0
    while (at := at + 1) < size and at + GROUP_HEAD <= len(data):
        # A head is plausible at few places only; at the others nothing is hashed.
        if _is_plausible(data, at, first) and (group := _group(data, at)) is not None:
            durable = max(durable, group.durable)
            at = _end(data, at) - 1
    return durable


def _is_plausible(data: bytes, at: int, first: int) -> bool:
    length: int
    start: int
    count: int
    length, start, _, count = _HEAD.unpack_from(data, at)
    fits: bool = at + GROUP_HEAD + length <= len(data)
    return fits and first <= start <= first + len(data) and 0 < count <= length


def cut_off(folder: Path) -> None:
    """Take the torn end off, which a check has found to be no one's.

    :raises OSError: it cannot be cut.
    """
    for segment in read_segments(folder):
        if segment.good < segment.size:
            os.truncate(segment.path, segment.good)


class Journal:
    """Writes groups. For one thread.

    :param folder: is there already.
    :param first: index of the next record; a file of this name has nothing in it that counts.
    :raises OSError: the first file cannot be made.

    The groups of the file that is written are kept in memory as well: after a failed write or sync nothing that is in
    the page cache can be trusted, so :meth:`repair` makes the file anew from them.
    """

    def __init__(self, folder: Path, first: int) -> None:
        self._folder = folder
        self._fd = -1
        self._first = first
        self._next = first
        self._kept: list[bytes] = []
        self._bytes = 0
        self._open(first)

    @property
    def end(self) -> int:
        """Index of the next record."""
        return self._next

    @property
    def full(self) -> bool:
        """Whether the file should be followed by another."""
        return self._bytes >= SEGMENT_BYTES

    @property
    def fd(self) -> int:
        """Of the file that is written, which stands at its end."""
        return self._fd

    def encode(self, durable: int, records: Sequence[bytes]) -> bytes:
        """The bytes of the next group, to be written and then told to :meth:`took`; empty without records.

        :param durable: how many records of the log are on the disk.
        """
        return encode_group(self._next, durable, records) if records else b""

    def write(self, data: bytes, *, sync: bool) -> None:
        """Hand bytes over to the kernel, or have them and all before them on the disk.

        :raises OSError: they are not; then :meth:`repair` has to come next.
        """
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        if sync:
            os.fdatasync(self._fd)

    def took(self, data: bytes, records: int) -> None:
        """A group of so many records was written: from now on it counts."""
        self._kept.append(data)
        self._bytes += len(data)
        self._next += records

    def repair(self) -> None:
        """Write the file anew, with all groups that count; they are on the disk then.

        :raises OSError: not yet.
        """
        path = self._path(self._first)
        fresh = path.with_name(f".{path.name}")
        fd = os.open(fresh, _CREATE, 0o600)
        try:
            _make_room(fd)
            data = b"".join(self._kept)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            os.fsync(fd)
            fresh.replace(path)
            sync_path(self._folder)
        except BaseException:
            os.close(fd)
            raise
        self._swap(fd)

    def rotate(self) -> None:
        """Go on in another file; what is in this one must be on the disk.

        :raises OSError: it cannot be made, and this one goes on.
        """
        self._open(self._next)

    def drop(self, before: int) -> None:
        """Remove the files whose records all have smaller indices.

        :raises OSError: one cannot be removed.
        """
        names = sorted(int(path.name) for path in self._folder.iterdir() if _NAME.fullmatch(path.name))
        for first, following in pairwise(names):
            if following <= before:
                self._path(first).unlink(missing_ok=True)

    def close(self) -> None:
        self._swap(-1)

    def _open(self, first: int) -> None:
        path = self._path(first)
        fd = os.open(path, _CREATE, 0o600)
        try:
            _make_room(fd)
            sync_path(self._folder)
        except BaseException:
            os.close(fd)
            # The file before goes on; behind an empty one its next records would look like a changed journal.
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        self._swap(fd)
        self._first = first
        self._kept, self._bytes = [], 0

    def _swap(self, fd: int) -> None:
        old, self._fd = self._fd, fd
        if old >= 0:
            os.close(old)

    def _path(self, first: int) -> Path:
        return self._folder / f"{first:020}"


def _make_room(fd: int) -> None:
    """Fill a new file with zeros, as far as the disk has room for them: without, it grows with each group."""
    try:
        if sys.platform == "linux":
            os.posix_fallocate(fd, 0, SEGMENT_BYTES)  # a full disk says so before there is less left
        os.pwrite(fd, bytes(SEGMENT_BYTES), 0)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, 0)
