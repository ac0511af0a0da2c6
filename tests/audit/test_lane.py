"""What an event loop appends goes a way of its own; all that holds for a log holds there, too."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from itertools import count
from typing import Any

import pytest
import uvloop

from ron_kms.audit import lane
from ron_kms.audit.journal import SEGMENT_BYTES, read_segments
from ron_kms.audit.log import Durability
from ron_kms.audit.registry import Trail
from ron_kms.audit.writing import Writing
from ron_kms.errors import StoreUnavailable
from ron_kms.store.bootstrap import Store
from tests.audit.place import BRISK, Place, crash, record, records
from tests.waiting import until

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def trail(place: Place, store: Store) -> Iterator[Trail]:
    trail = place.open(store)
    yield trail
    trail.close()


def found(place: Place, size: int) -> list[bytes]:
    """The records of a log that was closed, from its bundles."""
    widths = [256] * (size // 256) + ([size % 256] if size % 256 else [])
    return [item for number, width in enumerate(widths) for item in place.log().records(number, width)]


async def till(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - it comes from a thread
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("durability", ["durable", "written"])
def test_what_waits_together_is_one_group(
    place: Place, store: Store, trail: Trail, run: Run, durability: Durability
) -> None:
    async def append() -> None:
        await asyncio.gather(*(trail.append_async(records(2 * number, 2), durability) for number in range(100)))

    run(append())
    until(lambda: trail.log.size == 200)
    crash(trail)
    [segment] = read_segments(place.log().journal)
    groups = [group for group in segment.groups if group.records]
    assert [item for group in groups for item in group.records] == records(0, 200)
    assert [len(group.records) for group in groups] == [2, 198]
    again = place.open(store)
    assert (again.log.size, again.log.damage) == (200, "")
    again.close()


@pytest.mark.parametrize("sync", [False, True])
def test_the_disk_fails_and_works_again(place: Place, store: Store, trail: Trail, run: Run, sync: bool) -> None:
    """The journal's descriptor becomes one that takes nothing, or one that takes all and cannot be synced."""

    async def append() -> None:
        await trail.append_async(records(0, 10))
        await trail.append_async(records(10, 10), "written")
        source, bad = os.pipe() if sync else (-1, os.open("/dev/full", os.O_WRONLY))
        os.dup2(bad, trail.log._writing.fd)
        first = trail.append_async(records(900, 10))
        second = trail.append_async(records(910, 10))  # waits for the next group
        assert trail.trail(records(20, 10))
        for refused in (first, second):
            with pytest.raises(StoreUnavailable):
                await refused
        os.close(bad)
        if source >= 0:
            os.close(source)
        await till(lambda: not trail.log.fault)
        trail.require()
        await till(lambda: trail.log.size == 30)
        await trail.append_async(records(30, 10))

    run(append())
    assert trail.close()
    trail = place.open(store)
    assert (trail.log.size, trail.log.damage) == (40, "")
    assert found(place, 40) == records(0, 40)
    trail.close()


@pytest.mark.parametrize(("owner", "step"), [(Writing, "group"), (lane.Lane, "start")])
def test_a_group_for_which_there_is_no_memory(
    place: Place, trail: Trail, run: Run, monkeypatch: pytest.MonkeyPatch, owner: type, step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    async def append() -> None:
        await trail.append_async(records(0, 10))
        with monkeypatch.context() as full:
            full.setattr(owner, step, fail)
            with pytest.raises(StoreUnavailable):
                await trail.append_async(records(900, 10))
        await till(lambda: not trail.log.fault)
        await trail.append_async(records(10, 10))

    run(append())
    trail.close()
    assert found(place, 20) == records(0, 20)


def test_whoever_waits_may_go(place: Place, trail: Trail, run: Run) -> None:
    async def append() -> None:
        gone = [trail.append_async([record(number)]) for number in range(10)]
        for future in gone[::2]:
            future.cancel()
        await asyncio.gather(*gone, return_exceptions=True)
        await trail.append_async([record(10)])

    run(append())
    assert trail.log.size == 11
    assert trail.close()
    assert found(place, 11) == records(0, 11)


def test_a_loop_that_ends_with_a_group_under_way(place: Place, store: Store, trail: Trail, run: Run) -> None:
    async def append(first: int) -> None:
        for number in range(first, first + 5):
            trail.append_async([record(number)])

    for first in (0, 5, 10):
        run(append(first))
    assert trail.append([record(15)]).result() is None  # of no loop
    run(append(16))
    assert trail.close()
    assert found(place, 21) == records(0, 21)


def test_it_is_closed_on_the_loop(place: Place, trail: Trail, run: Run) -> None:
    async def append() -> None:
        future = trail.append_async(records(0, 10))
        assert trail.close()
        await future
        with pytest.raises(StoreUnavailable, match="closed"):
            await trail.append_async(records(10, 10))

    run(append())
    assert found(place, 10) == records(0, 10)


def test_loop_and_threads_together(place: Place, store: Store, run: Run) -> None:
    """In files of the journal that follow one another, with some that nobody waits for."""
    trail = place.open(store, pace=BRISK)
    numbers = count()
    given: set[bytes] = set()

    def some() -> list[bytes]:
        made = [record(next(numbers)) for _ in range(40)]
        given.update(made)
        return made

    def thread() -> None:
        for _ in range(30):
            trail.append(some()).result()
            assert trail.trail(some())

    async def client() -> None:
        for number in range(30):
            await trail.append_async(some(), "written" if number % 3 else "durable")

    async def all_of_them() -> None:
        loop = asyncio.get_running_loop()
        threads = [loop.run_in_executor(None, thread) for _ in range(2)]
        await asyncio.gather(*(client() for _ in range(8)), *threads)

    run(all_of_them())
    assert trail.close()
    assert sum(map(len, given)) > SEGMENT_BYTES
    there = found(place, trail.log.size)
    assert len(there) == len(given)
    assert set(there) == given
    trail = place.open(store)
    assert (trail.log.size, trail.log.damage) == (len(given), "")
    trail.close()


def test_without_a_descriptor_left_it_takes_the_long_way(
    place: Place, trail: Trail, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> int:
        raise OSError(24, "Too many open files")

    async def append() -> None:
        with monkeypatch.context() as failing:
            failing.setattr(lane.os, "eventfd", none)
            await trail.append_async(records(0, 10))
        await trail.append_async(records(10, 10))

    run(append())
    assert trail.close()
    assert found(place, 20) == records(0, 20)


def test_what_is_not_on_the_disk_gets_there(trail: Trail, run: Run) -> None:
    """Soon, though nothing follows and nobody waits."""

    async def append() -> None:
        await trail.append_async(records(0, 10), "written")
        assert trail.log.size == 0
        await till(lambda: trail.log.size == 10)
        assert trail.trail(records(10, 10))
        await till(lambda: trail.log.size == 20)

    run(append())
