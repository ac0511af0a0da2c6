"""Which versions a step's plan has named: an exact set in 20 bytes a key, looked up without unpacking it.

A plan names what a step may break: versions without a post-quantum track. Keys only ever rotate upwards, so those of
one key are its first ones, and the number of the last says it all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from uuid import UUID

_UUID = 16
_RECORD = _UUID + 4


class Named:
    """The set as it is stored.

    :raises ValueError: the bytes are not such a set.
    """

    __slots__ = ("_packed",)

    def __init__(self, packed: bytes = b"") -> None:
        if len(packed) % _RECORD:
            raise ValueError("a set of named versions has 20 bytes a key")
        self._packed = packed

    @staticmethod
    def pack(last: Mapping[str, int]) -> bytes:
        """The stored form, from the number of the last named version by the key's uuid."""
        return b"".join(sorted(UUID(uuid).bytes + number.to_bytes(4) for uuid, number in last.items()))

    def __len__(self) -> int:
        """How many keys have a named version."""
        return len(self._packed) // _RECORD

    def covers(self, uuid: str, version: int) -> bool:
        """Whether the plan has named this version of a key."""
        wanted = UUID(uuid).bytes
        at = bisect_left(range(len(self)), wanted, key=lambda n: self._packed[n * _RECORD : n * _RECORD + _UUID])
        record = self._packed[at * _RECORD : (at + 1) * _RECORD]
        return record[:_UUID] == wanted and version <= int.from_bytes(record[_UUID:])
