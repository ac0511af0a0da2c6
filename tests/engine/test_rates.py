"""Rates: the long run holds, one second's worth at once, nothing is taken for what is refused, waits are honest."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.engine.rates import RATES_OF_A_TOKEN, RateLimits, Rates
from ron_kms.errors import RateLimited
from ron_kms.model import Caller

START = 1000.0


def caller(token: str = "t", rate: int | None = None, tenant: str | None = "acme") -> Caller:
    return Caller(token, frozenset(), tenant=tenant, rate=rate)


def wait(rates: Rates, who: Caller, now: float, count: int = 1, paid: int = 0) -> int:
    """0 where it is let in, else Retry-After."""
    try:
        rates.charge(who, count, now, paid=paid)
    except RateLimited as refused:
        return refused.retry_after or -1
    return 0


def let_in(rates: Rates, who: Caller, now: float, most: int = 100_000) -> int:
    return next((count for count in range(most) if wait(rates, who, now)), most)


@given(
    rate=st.integers(1, 500),
    workers=st.integers(1, 4),
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 1024)), max_size=60),
)
def test_in_the_long_run_the_rate_holds(rate: int, workers: int, steps: list[tuple[float, int]]) -> None:
    """At the moment of being let in, all that was taken before fits into the rate and one burst; so a batch that is
    larger than the burst is paid off before the next."""
    rates = Rates(RateLimits(), workers=workers)
    part, now, taken = rate / workers, START, 0
    burst = max(1.0, part)
    for pause, count in steps:
        now += pause
        if not wait(rates, caller(rate=rate), now, count):
            assert taken + min(count, burst) <= (now - START) * part + burst + 1e-3
            taken += count


@given(
    rate=st.integers(1, 500),
    before=st.lists(st.integers(1, 1024), max_size=5),
    count=st.integers(1, 1024),
    batch=st.booleans(),
)
def test_after_the_wait_it_is_let_in(rate: int, before: list[int], count: int, batch: bool) -> None:
    rates = Rates(RateLimits(tenant=rate))
    for size in before:
        wait(rates, caller(), START, size)

    def request(now: float) -> int:
        """As the edge does it: one at the gate, the others once they are known."""
        first = wait(rates, caller(), now)
        return first or (wait(rates, caller(), now, count - 1, paid=1) if batch and count > 1 else 0)

    first = request(START)
    if first:
        second = request(START + first)
        # The wait at the gate is for one; how many there are is known only then.
        assert second == 0 or request(START + first + second) == 0
        assert second <= math.ceil(1024 * 6 / rate) + 1


def test_a_second_is_in_the_bucket() -> None:
    rates = Rates(RateLimits())
    assert let_in(rates, caller(rate=10), START) == 10
    assert let_in(rates, caller(rate=10), START + 0.5) == 5
    assert let_in(rates, caller(rate=10), START + 100) == 10


def test_one_is_always_in_the_bucket() -> None:
    rates = Rates(RateLimits(), workers=4)
    assert let_in(rates, caller(rate=1), START) == 1
    assert wait(rates, caller(rate=1), START) == 4
    assert let_in(rates, caller(rate=1), START + 4) == 1


def test_a_batch_counts_as_its_items() -> None:
    rates = Rates(RateLimits())
    assert wait(rates, caller(rate=100), START) == 0
    assert wait(rates, caller(rate=100), START, 59, paid=1) == 0
    assert wait(rates, caller(rate=100), START) == 0
    assert wait(rates, caller(rate=100), START, 59, paid=1) == 1
    assert let_in(rates, caller(rate=100), START) == 39


def test_a_batch_larger_than_the_rate_has_its_turn_and_is_paid_off() -> None:
    rates = Rates(RateLimits())
    assert wait(rates, caller(rate=10), START) == 0
    assert wait(rates, caller(rate=10), START, 99, paid=1) == 0
    assert wait(rates, caller(rate=10), START) == 10  # 100 taken, 10 of them were there
    assert wait(rates, caller(rate=10), START + 9) == 1
    assert wait(rates, caller(rate=10), START + 10) == 0


def test_what_is_refused_takes_nothing() -> None:
    """A token that is used up must not use up its tenant, nor a tenant the service."""
    rates = Rates(RateLimits(tenant=50, service=60))
    assert let_in(rates, caller("one", rate=10), START) == 10
    assert [wait(rates, caller("one", rate=10), START) for _ in range(100)] == [1] * 100
    assert let_in(rates, caller("two"), START) == 40
    assert let_in(rates, caller("three", tenant="other"), START) == 10


@pytest.mark.parametrize(
    ("limits", "rate", "limit"),
    [
        (RateLimits(), 1, "token_rate"),
        (RateLimits(tenant=1), None, "tenant_rate"),
        (RateLimits(service=1), None, "service_rate"),
        (RateLimits(tenant=5, service=1), 5, "service_rate"),
    ],
)
def test_the_error_names_the_limit(limits: RateLimits, rate: int | None, limit: str) -> None:
    rates = Rates(limits)
    rates.charge(caller(rate=rate), 1, START)
    with pytest.raises(RateLimited) as refused:
        rates.charge(caller(rate=rate), 1, START)
    assert refused.value.limit == limit


def test_without_limits_there_are_none() -> None:
    rates = Rates(RateLimits())
    assert wait(rates, caller(), START, 10**9) == 0
    assert not rates._tenants
    assert not rates._tokens


def test_tokens_of_one_id_share() -> None:
    rates = Rates(RateLimits())
    assert let_in(rates, caller("t", rate=10, tenant="a"), START) == 10
    assert let_in(rates, caller("t", rate=10, tenant="b"), START) == 0
    assert let_in(rates, caller("u", rate=10), START) == 10


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40))
def test_narrowing_a_token_gains_nothing(narrowed: list[int]) -> None:
    rates = Rates(RateLimits())
    first = let_in(rates, caller(rate=100), START, 1)
    got = first + sum(let_in(rates, caller(rate=rate), START) for rate in narrowed)
    assert got <= 100


@given(st.lists(st.integers(1, 9), max_size=40))
def test_not_even_by_pushing_the_wider_rate_out(narrowed: list[int]) -> None:
    """Whoever holds the token of 10 makes as many smaller ones as it likes."""
    rates = Rates(RateLimits())
    let_in(rates, caller(rate=100), START, 1)
    got = sum(let_in(rates, caller(rate=rate), START) for rate in [10, *narrowed, 10, *narrowed])
    assert got <= 10
    assert all(len(known) <= RATES_OF_A_TOKEN for known in rates._tokens.values())


def test_nor_by_using_the_narrow_ones_before_the_wide() -> None:
    rates = Rates(RateLimits())
    taken = sum(let_in(rates, caller(rate=rate), START) for rate in range(1, 101))
    assert taken == 100
    assert let_in(rates, caller(rate=100), START + 1) == 100


def test_a_narrowed_token_does_not_use_up_the_one_it_came_from() -> None:
    rates = Rates(RateLimits())
    assert wait(rates, caller(rate=100), START) == 0
    assert let_in(rates, caller(rate=10), START) == 10
    assert let_in(rates, caller(rate=100), START) == 89
    # Nor the other way round: what the wider one takes is not the narrowed one's.
    assert let_in(rates, caller(rate=10), START + 2) == 10


def test_tables_are_bounded() -> None:
    rates = Rates(RateLimits(tenant=10), entries=100)
    for at in range(1000):
        wait(rates, caller(f"t{at}", rate=5, tenant=f"a{at}"), START)
    assert (len(rates._tokens), len(rates._tenants)) == (100, 100)
    assert let_in(rates, caller("t999", rate=5, tenant="a999"), START) == 4, "the newest are kept"


def test_new_limits_hold_at_once() -> None:
    rates = Rates(RateLimits(service=10))
    assert let_in(rates, caller(), START) == 10
    rates.apply(RateLimits(service=1000))
    assert let_in(rates, caller(), START + 0.01) == 10
    rates.apply(RateLimits())
    assert let_in(rates, caller(), START, 50) == 50
