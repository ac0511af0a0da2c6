"""What is asked for while enough is being read is one read, and nobody gets what is older than his question."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ron_kms.errors import KmsError, StoreUnavailable
from ron_kms.store.bootstrap import Store
from ron_kms.store.flights import _TOGETHER, _UNDER_WAY, Flights
from tests.caching.parts import Switched


class Numbers:
    """Keys that stand for themselves, read through a store's threads."""

    def __init__(self, store: Store) -> None:
        self.switch = Switched(store)
        self.changes = 0
        self.sets: list[list[int]] = []
        self.flights: Flights[int, tuple[int, int]] = Flights(
            self.switch,  # type: ignore[arg-type]
            self.read,
            lambda: self.changes,
        )

    def read(self, _: Any, keys: list[int]) -> Mapping[int, tuple[int, int] | KmsError]:
        self.sets.append(list(keys))
        return {key: (key, self.changes) for key in keys if key >= 0}


@pytest.fixture
def numbers(store: Store) -> Numbers:
    return Numbers(store)


def test_what_is_asked_for_meanwhile_is_one_read(numbers: Numbers) -> None:
    numbers.switch.hold()
    asked = [numbers.flights.read([key, 100]) for key in range(20)]
    assert numbers.switch.reads == _UNDER_WAY
    numbers.switch.release()
    assert [set(each.result(10)) for each in asked] == [{key, 100} for key in range(20)]
    assert sorted(numbers.sets) == [[0, 100], [1], list(range(2, 20))]


def test_a_read_has_no_more_than_so_many_keys_of_others(numbers: Numbers) -> None:
    numbers.switch.hold()
    asked = [numbers.flights.read([key]) for key in range(_UNDER_WAY + 2 * _TOGETHER + 1)]
    large = numbers.flights.read(range(10_000, 11_000))
    numbers.switch.release()
    assert all(len(each.result(10)) == 1 for each in asked)
    assert len(large.result(10)) == 1_000
    assert sorted(len(keys) for keys in numbers.sets) == [1] * _UNDER_WAY + [_TOGETHER, _TOGETHER, 1_001]


def test_what_waits_sees_the_changes_before_its_read(numbers: Numbers) -> None:
    numbers.switch.hold()
    for key in range(_UNDER_WAY):
        numbers.flights.read([key])
    early = numbers.flights.read([50, 0])
    numbers.changes = 7
    late = numbers.flights.read([50, 0])
    numbers.switch.release()
    assert early.result(10)[50] == late.result(10)[50] == (50, 7)
    assert late.result(10)[0] == (0, 7)
    assert [50, 0] in numbers.sets


def test_the_store_is_away_for_all_that_wait(numbers: Numbers) -> None:
    """As many as would not fit into calls of calls."""
    numbers.switch.hold()
    asked = [numbers.flights.read([key, -1]) for key in range(_UNDER_WAY)]
    asked += [numbers.flights.read(range(first, first + _TOGETHER)) for first in range(1_000, 600_000, _TOGETHER)]
    numbers.switch.away = True
    numbers.switch.release()
    for each in asked:
        assert all(isinstance(result, StoreUnavailable) for result in each.result(10).values())
    numbers.switch.away = False
    assert numbers.flights.read([1]).result(10) == {1: (1, 0)}


def test_who_goes_away_spoils_it_for_nobody(numbers: Numbers) -> None:
    numbers.switch.hold()
    for key in range(_UNDER_WAY):
        numbers.flights.read([key])
    gone, stays = numbers.flights.read([9]), numbers.flights.read([9, -1])
    assert gone.cancel()
    numbers.switch.release()
    assert stays.result(10) == {9: (9, 0)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # nothing is written to the store
@given(st.lists(st.lists(st.integers(-2, 30), min_size=1, max_size=6), max_size=40))
def test_everybody_gets_what_he_asked_for(store: Store, asked: list[list[int]]) -> None:
    """From several threads at once, through the store's own readers."""
    flights: Flights[int, int] = Flights(
        store.database, lambda _, keys: {key: key for key in keys if key >= 0}, lambda: 0
    )
    found: list[Future[dict[int, int | KmsError]]] = []

    def ask(part: list[list[int]]) -> None:
        found.extend(flights.read(keys) for keys in part)

    threads = [threading.Thread(target=ask, args=(asked[number::3],)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    results = sorted(sorted(each.result(10)) for each in found)
    assert results == sorted(sorted({key for key in keys if key >= 0}) for keys in asked)


def test_on_an_event_loop(store: Store) -> None:
    flights: Flights[int, int] = Flights(store.database, lambda _, keys: dict.fromkeys(keys, 1), lambda: 0)

    async def ask() -> list[dict[int, int | KmsError]]:
        return await asyncio.gather(*(asyncio.wrap_future(flights.read([key])) for key in range(500)))

    assert [set(each) for each in asyncio.run(ask())] == [{key} for key in range(500)]
