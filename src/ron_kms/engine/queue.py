"""Batch while busy: where and when a piece of cryptography runs.

An Ed25519 signature takes 16 microseconds, handing it to a thread 60 to 110. So jobs wait by tenant until the turn of
the event loop ends; then one flush runs up to 200 microseconds of small ones at once and hands the rest to crypto
threads, which work with the GIL released. What comes while these are busy is the next batch. There are no timers.

Jobs that are taken together and are of one group run in one call: a signature for one request is a part of a batch for
all who ask at the same time. When they have run, the group settles them, and only then their waiters go on; this is
where a group counts, and where it can hold its answers back until something else is done (see :class:`Group`).

Small jobs (those that fit into a flush) and large ones (slices of big batches) wait apart, each kind with fair turns
between tenants (:mod:`ron_kms.engine.fair`). A thread that is free takes a batch of one kind and then of the other,
where both wait: so a small job overtakes all large ones but those that run, and neither starves the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from ron_kms.engine.fair import FairTurns
from ron_kms.engine.pace import DONE, Done, Pace
from ron_kms.errors import Backpressure, Internal, ShuttingDown

T = TypeVar("T")
JobT = TypeVar("JobT")
JobT_contra = TypeVar("JobT_contra", contravariant=True)

INLINE_MICROS = 200.0
"""What one flush does on the loop, and what a tenant is granted in a round of small jobs."""

SLICE_MICROS = 2000.0
"""What a thread takes at a time, what a tenant is granted in a round of large jobs, and what large jobs should cost at
most: a small one waits for so long where every thread has just begun."""

WAITING_MICROS = 2_000_000.0
"""For small and for large jobs each: more than this before a job, and it is not taken on. What one tenant has waiting
refuses no other."""


class Group(Protocol[JobT_contra]):
    """Jobs that can run together. Their results are where the group keeps them; the queue does not know them."""

    def run(self, jobs: Sequence[JobT_contra], /) -> None:
        """Do them all, on whatever thread. If it raises, each is run again by itself, so that one spoils no other."""

    def settle(self, jobs: Sequence[JobT_contra], /) -> asyncio.Future[None] | None:
        """On the event loop, after they have run and before their waiters hear of it.

        :returns: what their waiters have to wait for besides, if anything; its error is theirs. Without threads there
            is no loop: then it has happened when this returns.
        """


class CryptoQueue:
    """Runs jobs for one event loop, or (without threads) at once for a caller who waits for them anyway.

    :param threads: crypto threads, one for each core that the process may use; 0 runs everything at once.
    :param show: is told how many small and how many large jobs are left waiting, whenever that has changed.
    """

    def __init__(self, threads: int, show: Callable[[int, int], None] = lambda *_: None) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crypto") if threads else None
        self._threads = max(threads, 1)
        self._free = threads
        self._small: FairTurns[_Waiting] = FairTurns(INLINE_MICROS, _Waiting.gone)
        self._large: FairTurns[_Waiting] = FairTurns(SLICE_MICROS, _Waiting.gone)
        self._order = (self._small, self._large)
        self._flushing = False
        self._closed = False
        self._pace = Pace()
        self._show = show
        self._shown: tuple[int, int] | None = None  # for nothing at all

    def submit(self, tenant: str, micros: float, group: Group[JobT], job: JobT) -> asyncio.Future[None] | Done:
        """Have a job done; the answer is awaited. To cancel it is to want it no more.

        :param tenant: whose turn it is to be.
        :param micros: its estimated cost in microseconds.
        :raises Backpressure: too much waits already, and this tenant has its part of it.
        :raises ShuttingDown: the queue is closed.
        """
        if self._pool is None:
            group.run([job])
            group.settle([job])
            return DONE
        turns = self._small if micros <= INLINE_MICROS else self._large
        if turns.waiting > WAITING_MICROS and turns.ahead(tenant) > WAITING_MICROS:
            raise Backpressure("too much cryptography waits already", limit="max_wait", retry_after=1)
        if self._closed:
            raise ShuttingDown("this process is stopping")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(group, job, loop.create_future())
        turns.add(tenant, micros, waiting)
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._flush)
        return waiting.done

    async def run(self, tenant: str, micros: float, work: Callable[[], T]) -> T:
        """Do something that has no group, and give its result.

        :raises Exception: what it raises.
        """
        call = _Call(work)
        await self.submit(tenant, micros, _CALLS, call)
        return call.result()

    def turn(self) -> Awaitable[None]:
        """To be awaited before each piece of a large request's Python work (some hundred microseconds to a few
        milliseconds: decode it, prepare a part, encode it), so that small requests pass between."""
        return DONE if self._pool is None else self._pace.turn()

    @property
    def waiting_micros(self) -> float:
        """The estimated cost of all that waits; what runs already is not in it."""
        return self._small.waiting + self._large.waiting

    def wait_micros(self, tenant: str | None, *, large: bool = False) -> float:
        """About how long a job of this tenant that came now would wait; for None, one that comes after all others."""
        turns = self._large if large else self._small
        ahead = turns.waiting if tenant is None else turns.ahead(tenant)
        other = self._small if large else self._large
        return (ahead + min(ahead, other.waiting)) / self._threads

    def close(self) -> None:
        """Do what waits, let it end and take no more."""
        self._closed = True
        if self._pool is not None:
            self._free = len(self._small) + len(self._large)
            self._feed()
            self._pool.shutdown()

    def _flush(self) -> None:
        self._flushing = False
        at_once = self._small.take(INLINE_MICROS)
        if self._small or self._large or self._shown:
            self._feed()
        if at_once:
            _hand_out(_run(at_once))

    def _feed(self) -> None:
        """Give every free thread something to do, as long as there is, and tell how much is left."""
        while self._pool and self._free and (jobs := self._next()):
            self._free -= 1
            self._pool.submit(self._work, jobs[0].done.get_loop(), jobs)
        small, large = len(self._small), len(self._large)
        if self._shown != (shown := (small, large) if small or large else None):
            self._shown = shown
            self._show(small, large)

    def _next(self) -> list[_Waiting]:
        """A batch of one kind, next time of the other."""
        first, second = self._order
        jobs = first.take(SLICE_MICROS)
        if jobs:
            self._order = (second, first)
            return jobs
        return second.take(SLICE_MICROS)

    def _work(self, loop: asyncio.AbstractEventLoop, jobs: list[_Waiting]) -> None:
        """On a crypto thread."""
        ran = _run(jobs)
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits any more
            loop.call_soon_threadsafe(self._ended, ran)

    def _ended(self, ran: _Ran) -> None:
        self._free += 1
        self._feed()
        _hand_out(ran)


class _Waiting:
    """A job in the queue."""

    __slots__ = ("done", "error", "group", "job")

    def __init__(self, group: Group[Any], job: object, done: asyncio.Future[None]) -> None:
        self.group = group
        self.job = job
        self.done = done
        self.error: Exception | None = None

    def gone(self) -> bool:
        return self.done.cancelled()


_Ran = dict[Group[Any], list[_Waiting]]


def _run(jobs: list[_Waiting]) -> _Ran:
    """Do jobs, those of one group together."""
    groups: _Ran = {}
    for waiting in jobs:
        groups.setdefault(waiting.group, []).append(waiting)
    for group, members in groups.items():
        try:
            group.run([waiting.job for waiting in members])
        except Exception as error:  # noqa: BLE001 - it is its waiter's
            members[0].error = error
            if len(members) > 1:
                _run_each(group, members)
    return groups


def _run_each(group: Group[Any], members: list[_Waiting]) -> None:
    for waiting in members:
        waiting.error = None
        try:
            group.run([waiting.job])
        except Exception as error:  # noqa: BLE001 - as above
            waiting.error = error


def _hand_out(ran: _Ran) -> None:
    """Settle what has run, group by group, and wake who waits."""
    for group, members in ran.items():
        good = []
        for waiting in members:
            if waiting.error is None:
                good.append(waiting)
            elif not waiting.done.done():
                waiting.done.set_exception(waiting.error)
        if not good:
            continue
        try:
            settled = group.settle([waiting.job for waiting in good])
        except Exception as error:  # noqa: BLE001 - as above
            _wake(good, error)
            continue
        if settled is None:
            _wake(good, None)
        else:
            settled.add_done_callback(partial(_wake_after, good))


def _wake_after(members: list[_Waiting], settled: asyncio.Future[None]) -> None:
    error = Internal("what an answer waited for was given up") if settled.cancelled() else settled.exception()
    _wake(members, error)


def _wake(members: list[_Waiting], error: BaseException | None) -> None:
    for waiting in members:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)


class _Call(Generic[T]):
    """A function to be called, and what came of it."""

    __slots__ = ("_error", "_result", "_work")
    _result: T

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._error: Exception | None = None

    def __call__(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # noqa: BLE001 - raised where its result is asked for
            self._error = error

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return self._result


class _Calls:
    """The group of all functions that have none: what one raises is its own."""

    def run(self, jobs: Sequence[_Call[Any]], /) -> None:
        for call in jobs:
            call()

    def settle(self, _: Sequence[_Call[Any]], /) -> None:
        return None


_CALLS = _Calls()
