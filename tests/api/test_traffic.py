"""Stopping: new work is refused, what is in flight is finished."""

from __future__ import annotations

import asyncio

import msgspec

from tests.api.drive import ALL, JSON, Edge, Stream, chunked

WAIT = msgspec.json.encode({"how": "wait"})


def test_in_flight_is_finished_and_new_work_refused(edge: Edge) -> None:
    async def stop() -> tuple[bool, bool, list[Stream]]:
        working = Stream(chunked(WAIT))
        task = asyncio.create_task(edge.stream("POST", "/v1/kms/fail", working, ALL, JSON))
        await asyncio.sleep(0.01)
        assert edge.app.traffic.inflight == 1
        edge.app.traffic.drain()
        late = [Stream(chunked(b"{", b"}")) for _ in range(3)]
        await edge.stream("POST", "/v1/kms/things", late[0], ALL, JSON)
        await edge.stream("POST", "/v1/kms/things", late[1], ("authorization", "Bearer nobody"))
        await edge.stream("GET", "/nowhere", late[2])
        too_soon = await edge.app.traffic.idle(0.05)
        edge.kms.go.set()
        in_time = await edge.app.traffic.idle(5)
        await task
        return too_soon, in_time, [working, *late]

    too_soon, in_time, (working, *late) = edge.run(stop())
    assert (too_soon, in_time) == (False, True)
    assert working.answer().status == 200
    for stream in late:
        answer = stream.answer()
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "ShuttingDown", "1")
        assert stream.taken == 2
    assert edge.kms.acted == 0


def test_nothing_in_flight_is_idle_at_once(edge: Edge) -> None:
    edge.app.traffic.drain()
    assert edge.run(edge.app.traffic.idle(0)) is True or edge.run(edge.app.traffic.idle(1)) is True
    assert edge.app.traffic.state == "draining"
