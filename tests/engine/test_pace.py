"""Large requests take turns of the event loop."""

from __future__ import annotations

import asyncio

from ron_kms.engine.pace import Pace
from ron_kms.engine.queue import CryptoQueue


def test_one_a_turn_in_the_order_in_which_they_asked() -> None:
    async def main() -> list[tuple[int, int]]:
        pace, turn, worked = Pace(), 0, []

        async def large(name: int) -> None:
            for _ in range(3):
                await pace.turn()
                worked.append((turn, name))

        tasks = [asyncio.create_task(large(name)) for name in range(4)]
        while not all(task.done() for task in tasks):
            turn += 1
            await asyncio.sleep(0)
        return worked

    worked = asyncio.run(main())
    turns = [turn for turn, _ in worked]
    assert len(set(turns)) == len(turns) == 12
    # The first has its turn at once and asks again before the others begin.
    assert [name for _, name in worked] == [0, 0, 1, 2, 3, 0, 1, 2, 3, 1, 2, 3]


def test_who_has_gone_takes_no_turn() -> None:
    async def main() -> None:
        pace = Pace()
        await pace.turn()
        gone, next_one = asyncio.ensure_future(pace.turn()), asyncio.ensure_future(pace.turn())
        gone.cancel()
        await asyncio.wait_for(next_one, 5)
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.wait_for(pace.turn(), 5)

    asyncio.run(main())


def test_without_threads_there_is_nothing_to_wait_for() -> None:
    turn = CryptoQueue(0).turn().__await__()
    assert list(turn) == []
