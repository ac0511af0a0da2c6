"""What was handed to a log and waits to be written, and how whoever has handed it in hears of it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import NamedTuple


class Batch(NamedTuple):
    """Records that come next to one another.

    :ivar bytes: of all of them.
    :ivar durable: whether who waits wants them on the disk, or with the kernel.
    :ivar future: of whoever waits; one of an event loop is only ever touched there.
    """

    records: Sequence[bytes]
    bytes: int
    durable: bool
    future: Future[None] | asyncio.Future[None]


class Turn(NamedTuple):
    """All that waited, to be written as one group.

    :ivar batches: with whoever waits for them.
    :ivar trail: records that nobody waits for.
    :ivar since: when the first came in of what is not on the disk, and nobody waits for that.
    :ivar sync: whether it is to be on the disk now.
    """

    batches: list[Batch]
    trail: list[bytes]
    since: float
    sync: bool

    @property
    def records(self) -> list[bytes]:
        """Of all of it."""
        return [record for batch in self.batches for record in batch.records] + self.trail


class Backlog:
    """What waits. Its caller sees to it that one thread at a time uses it.

    :ivar batches: with whoever waits for them.
    :ivar of_threads: whether one of these waits on no event loop.
    :ivar bytes: of their records.
    :ivar trail_bytes: of the records that nobody waits for.
    :ivar since: as a turn's; None where all is on the disk, or somebody waits for it.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.of_threads = False
        self.bytes = self.trail_bytes = 0
        self.since: float | None = None
        self._trail: list[bytes] = []

    def add(self, batch: Batch) -> None:
        """Have somebody wait."""
        self.batches.append(batch)
        self.of_threads |= isinstance(batch.future, Future)
        self.bytes += batch.bytes

    def add_trail(self, records: Sequence[bytes], size: int) -> None:
        """:param size: their bytes."""
        self._trail += records
        self.trail_bytes += size
        if self.since is None:
            self.since = time.monotonic()

    def take(self, seconds: float, *, sync: bool) -> Turn:
        """All of it.

        :param seconds: how long what nobody waits for may not be on the disk.
        :param sync: it is to be there in any case.
        """
        now = time.monotonic()
        since = now if self.since is None else self.since
        sync = sync or now - since >= seconds or any(batch.durable for batch in self.batches)
        turn = Turn(self.batches, self._trail, since, sync)
        self._trail, self.trail_bytes, self.since = [], 0, None
        self.batches, self.of_threads, self.bytes = [], False, 0
        return turn

    def refuse(self, turn: Turn) -> list[Batch]:
        """Of a turn that failed, take back what nobody waits for.

        :returns: all others, who are to hear of it.
        """
        refused = [*turn.batches, *self.batches]
        self.batches, self.of_threads, self.bytes = [], False, 0
        if turn.trail:
            self._trail[:0] = turn.trail
            self.trail_bytes += sum(map(len, turn.trail))
            self.since = turn.since
        return refused


def settle(batches: Sequence[Batch], error: Exception | None, here: asyncio.AbstractEventLoop | None = None) -> None:
    """Tell who waits.

    :param here: the event loop that this is called on; the futures of another are settled there.
    """
    away: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for batch in batches:
        future = batch.future
        if isinstance(future, Future):
            _end(future, error)
        elif (loop := future.get_loop()) is here:
            _end_all((future,), error)
        else:
            away.setdefault(loop, []).append(future)
    for loop, futures in away.items():
        with contextlib.suppress(RuntimeError):  # it is closed, nobody waits any more
            loop.call_soon_threadsafe(_end_all, futures, error)


def _end_all(futures: Iterable[asyncio.Future[None]], error: Exception | None) -> None:
    for future in futures:
        if not future.done():  # whoever waited may be gone
            _end(future, error)


def _end(future: Future[None] | asyncio.Future[None], error: Exception | None) -> None:
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)
