"""A log that leaves nothing on a disk: the edge of its tree and the newest records, for as long as the process runs."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from ron_kms.audit.log import Durability
from ron_kms.audit.tree import Frontier, leaf_hash
from ron_kms.model import new_uuid
from ron_kms.store.outbox import Waiting

if TYPE_CHECKING:
    from ron_kms.store.database import Connection

KEPT = 65_536
"""Records."""


class MemoryTrail:
    """As :class:`ron_kms.audit.registry.Trail`, for amnesia.

    :ivar records: the newest :data:`KEPT`.
    """

    fault = ""
    damage = ""
    recent = True
    depth = 0

    def __init__(self) -> None:
        self.records: deque[bytes] = deque(maxlen=KEPT)
        self._frontier = Frontier()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """How many records there were."""
        return self._frontier.size

    @property
    def root(self) -> bytes:
        """The root over all of them."""
        with self._lock:
            return self._frontier.root

    def require(self) -> None:
        """It takes everything."""

    def append(self, records: Sequence[bytes], _: Durability = "durable") -> Future[None]:
        """Done at once."""
        self.trail(records)
        future: Future[None] = Future()
        future.set_result(None)
        return future

    def append_async(self, records: Sequence[bytes], _: Durability = "durable") -> asyncio.Future[None]:
        """Done at once."""
        self.trail(records)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def trail(self, records: Sequence[bytes]) -> bool:
        """Done at once."""
        with self._lock:
            self._frontier.append(map(leaf_hash, records))
            self.records += records
        return True

    def put(self, _: Connection, record: bytes) -> Waiting:
        """There is nothing that a crash could leave."""
        return Waiting(new_uuid(), None, record)

    def deliver(self, waiting: Waiting) -> Future[None]:
        """Append it, once its change is made."""
        return self.append((waiting.record,))

    def look_beside(self) -> None:
        """There is no other."""

    def close(self) -> bool:
        """There is nothing to finish."""
        return True
