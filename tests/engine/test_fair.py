"""Deficit round robin: what waits is served, in its flow's order, and no flow gets more than its share."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ron_kms.engine.fair import FairTurns

QUANTUM = 200.0

flows = st.sampled_from("abcde")
costs = st.integers(1, 900).map(float)
arrivals = st.lists(st.tuples(flows, costs), max_size=60)


class Item(NamedTuple):
    flow: str
    number: int
    cost: float


def turns(unwanted: frozenset[int] = frozenset()) -> FairTurns[Item]:
    return FairTurns(QUANTUM, lambda item: item.number in unwanted)


def fill(waiting: FairTurns[Item], arriving: list[tuple[str, float]], start: int = 0) -> list[Item]:
    items = [Item(flow, start + n, cost) for n, (flow, cost) in enumerate(arriving)]
    for item in items:
        waiting.add(item.flow, item.cost, item)
    return items


def drain(waiting: FairTurns[Item], budget: float = QUANTUM) -> list[Item]:
    taken = []
    while some := waiting.take(budget):
        taken += some
    return taken


@given(arrivals, costs)
def test_everything_is_taken_once_and_in_its_flows_order(arriving: list[tuple[str, float]], budget: float) -> None:
    waiting = turns()
    items = fill(waiting, arriving)
    assert len(waiting) == len(items)
    taken = drain(waiting, budget)
    assert sorted(taken, key=lambda item: item.number) == items
    for flow in "abcde":
        assert [item for item in taken if item.flow == flow] == [item for item in items if item.flow == flow]
    assert (waiting.waiting, len(waiting)) == (0.0, 0)


@given(arrivals, costs)
def test_a_taking_is_within_its_budget_and_never_idle(arriving: list[tuple[str, float]], budget: float) -> None:
    waiting = turns()
    fill(waiting, arriving)
    while len(waiting):
        before = waiting.waiting
        taken = waiting.take(budget)
        assert taken
        spent = sum(item.cost for item in taken)
        assert len(taken) == 1 or spent <= budget
        assert abs(before - spent - waiting.waiting) < 1e-6


@given(st.lists(costs, min_size=1, max_size=40), st.lists(costs, min_size=1, max_size=40), costs)
def test_two_flows_that_wait_get_the_same_but_for_a_quantum_and_an_item_each(
    ours: list[float], theirs: list[float], budget: float
) -> None:
    waiting = turns()
    fill(waiting, [("a", cost) for cost in ours])
    fill(waiting, [("b", cost) for cost in theirs], start=1000)
    left = Counter(a=len(ours), b=len(theirs))
    got: dict[str, float] = defaultdict(float)
    bound = QUANTUM + max(ours) + max(theirs)
    while left["a"] and left["b"]:
        for item in waiting.take(budget):
            got[item.flow] += item.cost
            left[item.flow] -= 1
            if not (left["a"] and left["b"]):
                break
            assert abs(got["a"] - got["b"]) <= bound


@given(arrivals, st.integers(1, 4), costs)
def test_who_comes_while_others_flood_waits_for_a_round_and_no_longer(
    flood: list[tuple[str, float]], rivals: int, cost: float
) -> None:
    """No starvation: however much the others bring all the time, the newcomer's turn comes."""
    waiting = turns()
    names = "abcd"[:rivals]
    fill(waiting, [(name, 900.0) for name in names] * 3 + [item for item in flood if item[0] in names])
    waiting.add("e", cost, Item("e", -1, cost))
    spent = 0.0
    while True:
        taken = waiting.take(QUANTUM)
        spent += sum(item.cost for item in taken if item.flow != "e")
        if any(item.flow == "e" for item in taken):
            break
        fill(waiting, [(item.flow, item.cost) for item in taken])
    rounds = cost // QUANTUM + 1
    assert spent <= rivals * (rounds * QUANTUM + 900.0)


@given(arrivals, st.frozensets(st.integers(0, 59)), costs)
def test_what_nobody_wants_is_dropped_and_costs_nothing(
    arriving: list[tuple[str, float]], unwanted: frozenset[int], budget: float
) -> None:
    waiting, wanted_only = turns(unwanted), turns()
    items = fill(waiting, arriving)
    wanted = [item for item in items if item.number not in unwanted]
    for item in wanted:
        wanted_only.add(item.flow, item.cost, item)
    taken = drain(waiting, budget)
    assert sorted(taken) == sorted(wanted)
    # A flow whose items are all unwanted takes nobody's turn; the others share as if it had not been there.
    assert Counter(item.flow for item in taken) == Counter(item.flow for item in drain(wanted_only, budget))
    assert waiting.waiting == 0.0


def test_a_flow_that_has_ended_keeps_no_credit() -> None:
    waiting = turns()
    fill(waiting, [("a", 1.0)])
    assert [item.flow for item in waiting.take(QUANTUM)] == ["a"]
    fill(waiting, [("a", QUANTUM), ("a", QUANTUM), ("b", QUANTUM)])
    assert [item.flow for item in drain(waiting)] == ["a", "b", "a"]


def test_a_flood_does_not_delay_the_other_flows_next_item() -> None:
    waiting = turns()
    fill(waiting, [("flood", QUANTUM)] * 1000)
    fill(waiting, [("quiet", 16.0)] * 3)
    assert [item.flow for item in waiting.take(QUANTUM + 48)] == ["flood", "quiet", "quiet", "quiet"]


def test_the_estimate_of_what_is_ahead() -> None:
    waiting = turns()
    assert waiting.ahead("a") == 0.0
    fill(waiting, [("flood", QUANTUM)] * 1000)
    assert waiting.ahead("flood") == 1000 * QUANTUM
    assert waiting.ahead("quiet") == QUANTUM  # one round of one flow
    fill(waiting, [("quiet", 100.0)])
    assert waiting.ahead("quiet") == 2 * (100.0 + QUANTUM)
