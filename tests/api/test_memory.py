"""What bodies take of memory: counted, shared between tenants, given back whatever happens."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import random
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.api.http.memory import ANYONE, Memory, Share
from ron_kms.errors import Backpressure
from tests.api.drive import ALL, JSON, Answer, Edge, Stream, chunked

MEMORY = 1 << 20
PIECE = bytes(1 << 16)
THINGS = "/v1/kms/things"


def of(tenant: str) -> tuple[str, str]:
    return ("authorization", f"Bearer of-{tenant}")


@asynccontextmanager
async def halfway(edge: Edge, *bodies: tuple[tuple[str, str], bytes]) -> AsyncIterator[list[Stream]]:
    """Requests of which this much has come, and no more does."""
    streams = [Stream(chunked(bytes(1), body, last=False)) for _, body in bodies]
    tasks = []
    for (token, _), stream in zip(bodies, streams, strict=True):
        gone = asyncio.Event()
        stream.receive = _then_wait(stream.receive, len(stream.messages), gone)  # type: ignore[method-assign]
        tasks.append((asyncio.create_task(edge.stream("POST", THINGS, stream, token, JSON)), gone))
        await asyncio.sleep(0.001)
    try:
        yield streams
    finally:
        for task, gone in tasks:
            gone.set()
            await task
        assert edge.app.memory.held == 0


def _then_wait(receive: Callable[[], Awaitable[Any]], count: int, gone: asyncio.Event) -> Callable[[], Awaitable[Any]]:
    taken = itertools.count()

    async def received() -> Any:
        if next(taken) < count:
            return await receive()
        await gone.wait()
        return {"type": "http.disconnect"}

    return received


async def ask(edge: Edge, body: bytes, *headers: tuple[str, str]) -> Answer:
    stream = Stream(chunked(*(body[at : at + len(PIECE)] for at in range(0, len(body), len(PIECE))), b""))
    await edge.stream("POST", THINGS, stream, *headers)
    return stream.answer()


def thing(size: int) -> bytes:
    return msgspec.json.encode({"name": "a", "data": bytes(size)})


def test_bodies_on_their_way_are_bounded_in_sum_and_shared(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_memory=MEMORY)

    async def all_of_it() -> None:
        red = of("red")
        async with halfway(edge, *[(red, PIECE)] * 8):
            assert edge.app.memory.held == MEMORY // 2
            refused = await ask(edge, thing(len(PIECE)), red, JSON)
            assert (refused.status, refused.code) == (429, "Backpressure")
            assert (await ask(edge, thing(100), red, JSON)).status == 201, "small ones of its own go on"
            assert (await ask(edge, thing(len(PIECE)), of("blue"), JSON)).status == 201
        assert (await ask(edge, thing(len(PIECE)), red, JSON)).status == 201
        assert edge.app.memory.held == 0

    edge.run(all_of_it())


def test_what_unpacks_counts_too(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_memory=MEMORY)
    # Some of it is noise, for only ten times its size may come out.
    noise = random.Random(1).randbytes(70_000).hex().encode()
    body = gzip.compress(b'{"name": "a", "data": "' + noise + bytes(450_000) + b'"}')
    assert len(body) < MEMORY // 4
    answer = edge.call("POST", THINGS, body, ALL, JSON, ("content-encoding", "gzip"))
    assert (answer.status, answer.code) == (429, "Backpressure")
    assert edge.app.memory.held == 0


def test_answers_that_are_not_taken_let_no_more_in(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_memory=MEMORY)

    async def all_of_it() -> None:
        taken = asyncio.Event()
        slow = Stream(chunked(thing(500_000)))
        send = slow.send

        async def sent(message: Any) -> None:
            await taken.wait()
            await send(message)

        slow.send = sent  # type: ignore[method-assign]
        edge.app.memory.limit = 4 * MEMORY
        task = asyncio.create_task(edge.stream("POST", THINGS, slow, ALL, JSON))
        async with asyncio.timeout(10):
            while edge.kms.acted == 0:  # noqa: ASYNC110 - the application tells nobody
                await asyncio.sleep(0.001)
        assert edge.app.memory.held > MEMORY // 2
        edge.app.memory.limit = MEMORY
        refused = await ask(edge, thing(1), ALL, JSON)
        assert (refused.status, refused.code) == (429, "Backpressure")
        assert (await ask(edge, thing(1), of("blue"), JSON)).status == 201
        taken.set()
        await task
        assert slow.answer().status == 201
        assert (await ask(edge, thing(1), ALL, JSON)).status == 201

    edge.run(all_of_it())


def test_documents_that_are_not_taken_do_not_add_up(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_memory=MEMORY)
    edge.app.memory.add(ANYONE, MEMORY // 2)
    for path in ("/openapi.json", "/docs"):
        answer = edge.call("GET", path)
        assert (answer.status, answer.code) == (429, "Backpressure")
    edge.app.memory.give(ANYONE, MEMORY // 2)
    assert edge.call("GET", "/openapi.json").status == 200
    assert edge.app.memory.held == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 600))))
def test_nobody_takes_more_than_stays_free(asks: list[tuple[str, int]]) -> None:
    memory = Memory(1000)
    held: dict[str, int] = {}
    shares = []
    for party, size in asks:
        share = Share(memory, party)
        shares.append(share)
        try:
            share.take(size)
        except Backpressure:
            assert held.get(party, 0) + size > 1000 - sum(held.values()) - size
        else:
            held[party] = held.get(party, 0) + size
        assert memory.held == sum(held.values()) <= 1000
        assert all(mine <= 500 for mine in held.values())
    for share in shares:
        share.give_back()
    with pytest.raises(KeyError):
        memory.give("a", 1)


def test_what_was_refused_is_not_kept_while_the_rest_is_drained(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_memory=MEMORY)
    piece = bytes(1 << 16)

    async def all_of_it() -> None:
        stream = Stream(chunked(b" ", *[piece] * 12, last=False))
        references = sys.getrefcount(piece)
        task = asyncio.create_task(edge.stream("POST", THINGS, stream, ALL, JSON))
        async with asyncio.timeout(10):
            while stream.taken < len(stream.messages):  # noqa: ASYNC110 - the application tells nobody
                await asyncio.sleep(0.001)
        assert edge.app.memory.held == 0
        assert sys.getrefcount(piece) == references
        task.cancel()

    edge.run(all_of_it())
