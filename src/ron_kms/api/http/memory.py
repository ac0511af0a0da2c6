"""What bodies may take of one worker's memory, shared between tenants.

Requests count from the wire, and again as they unpack, until they are answered; answers until their clients have taken
them. A request is refused while it would exceed its tenant's part, an answer never, for its work is done: whoever
does not take answers gets no further request in.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final

from ron_kms.errors import Backpressure

DEFAULT: Final = 64 << 20

SMALL: Final = 4096
"""Bytes of an answer that is not counted: requests in flight are bounded in number."""

ANYONE: Final = ""
"""Whoever reads what needs no token; no tenant and no token has this name."""


class Memory:
    """The bytes of one worker. Used from the event loop only.

    A tenant may hold as much as stays free (dynamic thresholds with the factor 1, Choudhury and Hahne 1998): half where
    it is alone, a third each where there are two, and whoever comes next finds some. The table holds only those who
    have bytes here.

    :ivar limit: bytes; may be changed.
    """

    __slots__ = ("_by_party", "held", "limit")

    def __init__(self, limit: int = DEFAULT) -> None:
        self.limit = limit
        self.held = 0
        self._by_party: dict[str, int] = {}

    def check(self, party: str) -> None:
        """:raises Backpressure: this party has its part already."""
        if self.held and self._by_party.get(party, 0) > self.limit - self.held:
            raise _full()

    def take(self, party: str, size: int) -> None:
        """:raises Backpressure: this party would have more than its part; nothing was taken."""
        if self._by_party.get(party, 0) + size > self.limit - self.held - size:
            raise _full()
        self.add(party, size)

    def add(self, party: str, size: int) -> None:
        """Take, whatever is there."""
        self.held += size
        self._by_party[party] = self._by_party.get(party, 0) + size

    def give(self, party: str, size: int) -> None:
        """Give back what was taken."""
        self.held -= size
        left = self._by_party[party] - size
        if left:
            self._by_party[party] = left
        else:
            del self._by_party[party]


class Share:
    """What one request holds."""

    __slots__ = ("_memory", "_party", "_size")

    def __init__(self, memory: Memory, party: str) -> None:
        self._memory = memory
        self._party = party
        self._size = 0

    def take(self, size: int) -> None:
        """:raises Backpressure: there is no room for so much."""
        self._memory.take(self._party, size)
        self._size += size

    @contextlib.contextmanager
    def holding(self, size: int) -> Iterator[None]:
        """Hold so much, whatever is there."""
        self._memory.add(self._party, size)
        try:
            yield
        finally:
            self._memory.give(self._party, size)

    def give_back(self) -> None:
        """All of it."""
        if self._size:
            self._memory.give(self._party, self._size)
            self._size = 0


def _full() -> Backpressure:
    return Backpressure("too many bytes of bodies are in memory", limit="body_memory")
