"""Bodies: bounded on the wire, unpacked and in time."""

from __future__ import annotations

import asyncio
import gzip
import os
import time
import tracemalloc
import zlib

import msgspec
import pytest

from ron_kms.api.http.body import DRAIN_BYTES, MAX_BYTES, Deadlines
from tests.api.drive import ALL, JSON, MSGPACK, Answer, Edge, Stream, chunked

GZIP = ("content-encoding", "gzip")
THINGS = "/v1/kms/things"


def send(edge: Edge, stream: Stream, *headers: tuple[str, str]) -> Answer:
    edge.run(edge.stream("POST", THINGS, stream, *headers))
    return stream.answer()


def test_a_body_may_come_in_any_pieces(edge: Edge) -> None:
    body = msgspec.json.encode({"name": "a", "data": b"x" * 1000})
    for size in (1, 7, 500, len(body)):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        for stream in (Stream(chunked(*pieces)), Stream(chunked(*pieces, b"")), Stream(chunked(b"", *pieces, b""))):
            assert send(edge, stream, ALL, JSON).data["length"] == 1000


@pytest.mark.parametrize(("extra", "status"), [(0, 400), (1, 413)])
def test_the_cap_is_exact(edge: Edge, extra: int, status: int) -> None:
    body = b" " * (MAX_BYTES + extra)
    assert edge.call("POST", THINGS, body, ALL, JSON).status == status
    assert send(edge, Stream(chunked(body[:1000], body[1000:])), ALL, JSON).status == status
    announced = ("content-length", str(len(body)))
    assert edge.call("POST", THINGS, body, ALL, JSON, announced).status == status


def test_the_largest_body_is_taken(edge: Edge) -> None:
    empty = msgspec.msgpack.encode({"name": "a", "data": b""})
    body = msgspec.msgpack.encode({"name": "a", "data": bytes(MAX_BYTES - len(empty) - 3)})
    assert len(body) == MAX_BYTES
    assert edge.call("POST", THINGS, body, ALL, MSGPACK).status == 201


def test_an_announced_length_is_refused_without_reading_it_into_memory(edge: Edge) -> None:
    chunk = bytes(1 << 16)
    stream = Stream([*chunked(*[chunk] * 100, last=False)])
    answer = send(edge, stream, ALL, JSON, ("content-length", str(100 << 16)))
    assert (answer.status, answer.code) == (413, "TooLarge")
    assert stream.taken == DRAIN_BYTES // len(chunk) + 1


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "", "9" * 19, "+5", "1_0", "\xb2"])
def test_a_length_that_is_no_number_is_refused(edge: Edge, length: str) -> None:
    assert edge.call("POST", THINGS, b"{}", ALL, JSON, ("content-length", length)).status == 400


@pytest.mark.parametrize("headers", [(), (ALL, JSON)], ids=["without token", "with token"])
def test_an_endless_body_ends_in_a_refusal_and_bounded_memory(edge: Edge, headers: tuple[tuple[str, str], ...]) -> None:
    stream = Stream(chunked(bytes(1 << 14), last=False), endless=True)
    tracemalloc.start()
    answer = send(edge, stream, *headers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status == (413 if headers else 401)
    assert stream.taken << 14 <= DRAIN_BYTES + (1 << 14)
    assert peak < 3 * MAX_BYTES


@pytest.mark.parametrize("headers", [(), (ALL, JSON)], ids=["without token", "with token"])
def test_a_slow_body_is_given_up(runner: asyncio.Runner, headers: tuple[tuple[str, str], ...]) -> None:
    edge = Edge(runner, body_seconds=0.2)
    for _ in range(2):
        started = time.monotonic()
        answer = send(edge, Stream(chunked(b'{"na', last=False)), *headers)
        assert 0.2 <= time.monotonic() - started < 2
        assert (answer.status, answer.code) == ((400, "BadRequest") if headers else (401, "Unauthenticated"))
        assert not headers or "0.2 seconds" in answer.message
    assert edge.app.traffic.inflight == 0


def test_a_byte_now_and_then_does_not_keep_a_request_alive(runner: asyncio.Runner) -> None:
    edge = Edge(runner, body_seconds=0.2)

    async def trickle() -> Answer:
        stream = Stream([])

        async def receive() -> dict[str, object]:
            await asyncio.sleep(0.03)
            stream.taken += 1
            return {"type": "http.request", "body": b" ", "more_body": True}

        stream.receive = receive  # type: ignore[method-assign, assignment]
        await edge.stream("POST", THINGS, stream, ALL, JSON)
        return stream.answer()

    assert edge.run(trickle()).status == 400


def test_a_refused_upload_is_read_to_its_end_so_that_the_connection_lives(edge: Edge) -> None:
    stream = Stream(chunked(*[bytes(1 << 14)] * 60))
    assert send(edge, stream).status == 401
    assert stream.taken == 60


@pytest.mark.parametrize("packed_by", ["json", "msgpack"])
def test_gzip(edge: Edge, packed_by: str) -> None:
    data = os.urandom(100_000)
    if packed_by == "json":
        body, header = msgspec.json.encode({"name": "a", "data": data}), JSON
    else:
        body, header = msgspec.msgpack.encode({"name": "a", "data": data}), MSGPACK
    answer = edge.call("POST", THINGS, gzip.compress(body), ALL, header, GZIP)
    assert (answer.status, answer.data["length"]) == (201, 100_000)


def test_gzip_that_unpacks_to_ten_times_its_size_and_not_a_byte_more(edge: Edge) -> None:
    packed = gzip.compress(os.urandom(1000))
    for target, expected in [(10 * (len(packed) + 100), 400), (10 * (len(packed) + 100) * 3, 413)]:
        body = b" " * (target - 2) + b"{}"
        squeezed = gzip.compress(body)
        assert len(squeezed) < len(packed) + 100
        # The optional file name of the header pads it to an exact size (RFC 1952, 2.3.1).
        room = len(packed) + 100 - len(squeezed)
        padded = squeezed[:3] + b"\x08" + squeezed[4:10] + b"x" * (room - 1) + b"\x00" + squeezed[10:]
        assert len(padded) == len(packed) + 100
        answer = edge.call("POST", THINGS, padded, ALL, JSON, GZIP)
        assert answer.status == expected
        assert ("ten" in answer.message or "10 times" in answer.message) == (expected == 413)


@pytest.mark.parametrize("level", [1, 9])
def test_a_bomb_is_stopped_before_it_takes_memory(edge: Edge, level: int) -> None:
    packer = zlib.compressobj(level, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    bomb = b"".join(packer.compress(zeros) for _ in range(200)) + packer.flush()
    assert len(bomb) < MAX_BYTES
    tracemalloc.start()
    answer = edge.call("POST", THINGS, bomb, ALL, JSON, GZIP)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status, answer.code) == (413, "TooLarge")
    assert peak < 25 * len(bomb) + MAX_BYTES


def test_the_largest_gzip_body_does_not_hold_the_loop(edge: Edge) -> None:
    noise = os.urandom(900_000).hex().encode()
    packed = gzip.compress(b'{"name":"a","extra":"' + noise + b"0" * 7_000_000 + b'"}')
    assert MAX_BYTES * 3 // 4 < len(packed) <= MAX_BYTES

    async def measure() -> tuple[int, float]:
        stream = Stream(chunked(packed))
        longest = 0.0
        task = asyncio.create_task(edge.stream("POST", THINGS, stream, ALL, JSON, GZIP))
        while not task.done():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
        return stream.answer().status, longest

    status, longest = edge.run(measure())
    assert status == 201
    assert longest < 0.1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: b"",
        lambda good: good[:-1],
        lambda good: good[:-8],
        lambda good: good[: len(good) // 2],
        lambda good: good[:5],
        lambda good: good + b"\x00",
        lambda good: good + b"{}",
        lambda good: good + good,
        lambda good: gzip.compress(b"") + good,
        lambda good: good[:-8] + bytes(8),
        lambda good: b"\x00" + good,
        lambda good: zlib.compress(b'{"name":"a"}'),
        lambda good: b'{"name":"a"}',
        gzip.compress,
        lambda good: good[:12] + bytes([good[12] ^ 0xFF]) + good[13:],
    ],
)
def test_damaged_gzip_is_refused(edge: Edge, spoil: object) -> None:
    good = gzip.compress(b'{"name":"a"}')
    assert edge.call("POST", THINGS, good, ALL, JSON, GZIP).status == 201
    answer = edge.call("POST", THINGS, spoil(good), ALL, JSON, GZIP)  # type: ignore[operator]
    assert (answer.status, answer.code) == (400, "BadRequest")


@pytest.mark.parametrize("encoding", ["deflate", "br", "zstd", "gzip, gzip", "x-gzip", ""])
def test_other_encodings_are_refused(edge: Edge, encoding: str) -> None:
    answer = edge.call("POST", THINGS, b'{"name":"a"}', ALL, JSON, ("content-encoding", encoding))
    assert (answer.status, answer.code) == (400, "Unsupported")


def test_identity_is_no_encoding(edge: Edge) -> None:
    assert edge.call("POST", THINGS, b'{"name":"a"}', ALL, JSON, ("content-encoding", "identity")).status == 201


def test_deadlines_keep_each_waiter_to_its_own_time(runner: asyncio.Runner) -> None:
    deadlines = Deadlines(0.2)

    async def wait(seconds: float) -> str:
        try:
            with deadlines:
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "in time"

    async def many() -> list[str]:
        early = asyncio.create_task(wait(10))
        await asyncio.sleep(0.1)
        return [*await asyncio.gather(wait(0.15), wait(0), wait(10)), await early]

    assert runner.run(many()) == ["in time", "in time", "late", "late"]
    assert runner.run(wait(10)) == "late"


def test_a_cancellation_from_elsewhere_is_not_taken_for_a_deadline(runner: asyncio.Runner) -> None:
    deadlines = Deadlines(0.1)

    async def wait() -> None:
        with deadlines:
            await asyncio.sleep(10)

    async def cancel(after: float) -> bool:
        task = asyncio.create_task(wait())
        await asyncio.sleep(after)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    assert runner.run(cancel(0.01))
