"""The gate: never above the cap, a floor for everybody, what is borrowed comes back, a flood hurts nobody else."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms.capabilities.caveats import SCOPES, fold
from ron_kms.engine.gate import COMERS, Gate, Lane, Limits, party_of
from ron_kms.errors import Backpressure
from ron_kms.model import Caller


class Queue:
    """An engine that would let everybody wait this long."""

    def __init__(self) -> None:
        self.by_tenant: dict[str | None, float] = {}

    def wait_micros(self, tenant: str | None, *, large: bool = False) -> float:
        return self.by_tenant.get(tenant, 0.0)


def tenant(name: str) -> Caller:
    return Caller(f"token of {name}", frozenset(), tenant=name)


def lane(cap: int, share_min: int = 5, max_wait_ms: float = 0, queue: Queue | None = None) -> Lane:
    made = Lane(queue or Queue())
    made.apply(cap=cap, share_min=share_min, max_wait_ms=max_wait_ms)
    return made


def let_in(lane: Lane, caller: Caller, most: int) -> int:
    """How many of this caller's requests get in, one after the other, none ending."""
    for count in range(most):
        try:
            lane.enter(caller)
        except Backpressure:
            return count
    return most


@given(
    cap=st.integers(1, 60),
    share_min=st.integers(0, 100),
    steps=st.lists(st.tuples(st.integers(0, 7), st.booleans()), max_size=120),
)
def test_never_above_the_cap_and_counts_return_to_zero(cap: int, share_min: int, steps: list[tuple[int, bool]]) -> None:
    gate = lane(cap, share_min)
    inside: Counter[str] = Counter()
    for who, enters in steps:
        caller = tenant(f"t{who}")
        party = party_of(caller)
        if enters:
            before = gate.total
            active = len(+inside) + (inside[party] == 0)
            try:
                gate.enter(caller)
            except Backpressure:
                assert gate.total == before
                # Whoever is below its floor is refused only where the cap itself is full.
                assert before == cap or inside[party] >= min(cap * share_min // 100, cap // active)
            else:
                inside[party] += 1
        elif inside[party]:
            gate.leave(party)
            inside[party] -= 1
        assert gate.total == inside.total() <= cap
        assert all(gate.inflight(name) == count for name, count in inside.items())
    for name, count in inside.items():
        for _ in range(count):
            gate.leave(name)
    assert gate.total == 0
    assert not gate._inflight, "a table that keeps those who left grows"


@given(cap=st.integers(1, 600), share_min=st.integers(1, 50))
def test_whoever_comes_next_finds_its_floor(cap: int, share_min: int) -> None:
    gate = lane(cap, share_min)
    let_in(gate, tenant("flood"), cap)
    floor = min(max(1, cap * share_min // 100), cap // 2)
    assert let_in(gate, tenant("next"), cap) >= floor


@given(cap=st.integers(20, 600), others=st.integers(0, 5))
def test_what_others_leave_idle_is_borrowed(cap: int, others: int) -> None:
    gate = lane(cap)
    for other in range(others):
        gate.enter(tenant(f"t{other}"))
    shared = cap - kept(cap) - others
    got = let_in(gate, tenant("a"), cap)
    assert got == shared if not others else got >= shared * 16 / 17 - 2


@given(cap=st.integers(40, 200), hogs=st.integers(2, 5), seed=st.integers(0, 1 << 32))
def test_what_is_borrowed_comes_back(cap: int, hogs: int, seed: int) -> None:
    """One tenant has everything; others come, and soon all have their fair share, as requests end in any order.

    By then the room for whoever comes next is there again.
    """
    random = Random(seed)
    gate = lane(cap)
    callers = [tenant(f"t{at}") for at in range(hogs)]
    inside = [party_of(callers[0])] * let_in(gate, callers[0], cap)
    for _ in range(6 * cap):
        gate.leave(inside.pop(random.randrange(len(inside))))
        for caller in [callers[0], *callers]:  # the first asks before all others, and again
            if let_in(gate, caller, 1):
                inside.append(party_of(caller))
    parts = [gate.inflight(party_of(caller)) for caller in callers]
    assert min(parts) >= (cap - kept(cap)) // hogs
    assert let_in(gate, tenant("next"), cap) >= cap // 20


@given(cap=st.integers(80, 600), held=st.integers(1, 3))
def test_several_who_come_next_have_their_floors(cap: int, held: int) -> None:
    """However much those before them hold, and for however long: a body may take its time to arrive."""
    gate = lane(cap)
    for hog in range(held):
        let_in(gate, tenant(f"hog{hog}"), cap)
    for comer in range(COMERS - held + 1):
        assert let_in(gate, tenant(f"t{comer}"), cap // 20) == cap // 20


def kept(cap: int) -> int:
    """Places that are kept for whoever comes next, at a floor of 5 %."""
    floor = max(1, cap // 20)
    return max(floor, min(COMERS * floor, cap // 4))


def test_the_working_limit_is_the_estimated_wait() -> None:
    queue = Queue()
    gate = lane(100, max_wait_ms=5, queue=queue)
    assert let_in(gate, tenant("a"), 20) == 20
    queue.by_tenant["a"] = 5001.0
    with pytest.raises(Backpressure) as refused:
        gate.enter(tenant("a"))
    assert (refused.value.limit, refused.value.retry_after) == ("max_wait", 1)
    queue.by_tenant["a"] = 5000.0
    gate.enter(tenant("a"))


def test_the_working_limit_of_one_tenant_is_not_that_of_another() -> None:
    queue = Queue()
    queue.by_tenant["flood"] = 1e6
    gate = lane(100, max_wait_ms=5, queue=queue)
    assert let_in(gate, tenant("flood"), 100) == 5  # its floor
    assert let_in(gate, tenant("b"), 50) == 50


def test_below_its_floor_nobody_is_refused_for_a_wait() -> None:
    queue = Queue()
    queue.by_tenant["b"] = 1e9
    assert let_in(lane(100, max_wait_ms=5, queue=queue), tenant("b"), 100) == 5


@pytest.mark.parametrize(("micros", "seconds"), [(0, 1), (10_000, 1), (1_000_000, 1), (1_000_001, 2), (7.5e6, 8)])
def test_retry_after_comes_from_the_wait(micros: float, seconds: int) -> None:
    queue = Queue()
    gate = lane(1, queue=queue)
    gate.enter(tenant("a"))
    queue.by_tenant["a"] = micros
    with pytest.raises(Backpressure) as refused:
        gate.enter(tenant("a"))
    assert (refused.value.limit, refused.value.retry_after) == ("max_inflight", seconds)


def test_tokens_without_a_tenant_share_with_nobody() -> None:
    one, other = Caller("t1", frozenset()), Caller("t2", frozenset())
    acme = Caller("t3", frozenset(), tenant="acme")
    assert party_of(acme) == party_of(Caller("t4", frozenset(), tenant="acme"))
    assert len({party_of(caller) for caller in (one, other, acme, Caller("t5", frozenset(), tenant="t1"))}) == 4


def test_a_token_that_covers_nothing_takes_no_part_of_another_tenants() -> None:
    def of(*caveats: bytes) -> Caller:
        return fold("t6", caveats)

    for caveats in ((b"tenant = zeta", b"tenant = acme"), (b"prefix = zeta/x", b"tenant = acme")):
        assert party_of(of(*caveats)) == "/t6"
    assert party_of(of(b"tenant = acme", b"prefix = acme/audit")) == "acme"


def test_a_token_that_covers_nothing_learns_nothing_of_the_queue_of_another_tenant() -> None:
    queue = Queue()
    queue.by_tenant["acme"] = 9e6
    gate = lane(10, share_min=0, max_wait_ms=5, queue=queue)
    gate.enter(fold("t6", (b"tenant = zeta", b"tenant = acme")))
    with pytest.raises(Backpressure):
        gate.enter(tenant("acme"))


def test_every_scope_has_its_class() -> None:
    gate = Gate(Limits(), Queue())
    classes = {scope: next(name for name, lane in gate.lanes.items() if lane is gate.lane(scope)) for scope in SCOPES}
    assert {scope: name for scope, name in classes.items() if name != "admin"} == {
        "kms:sign": "sign",
        "kms:verify": "verify",
        "kms:wrap": "wrap",
        "kms:unwrap": "wrap",
        "kms:seal": "wrap",
        "kms:open": "wrap",
    }


def test_classes_share_nothing() -> None:
    gate = Gate(Limits(sign=1, verify=1), Queue())
    gate.lanes["sign"].enter(tenant("a"))
    gate.lanes["verify"].enter(tenant("a"))
    with pytest.raises(Backpressure):
        gate.lanes["sign"].enter(tenant("a"))


def test_workers_divide_the_caps() -> None:
    gate = Gate(Limits(sign=90, verify=2), Queue(), workers=3)
    callers = [tenant(f"t{at}") for at in range(100)]
    assert sum(let_in(gate.lanes["sign"], caller, 1) for caller in callers) == 30
    assert sum(let_in(gate.lanes["verify"], caller, 1) for caller in callers) == 1


def test_operators_are_not_kept_out_by_a_wait() -> None:
    queue = Queue()
    queue.by_tenant["a"] = 1e9
    gate = Gate(Limits(), queue)
    assert let_in(gate.lanes["admin"], tenant("a"), 100) == 100
    assert let_in(gate.lanes["sign"], tenant("a"), 100) == 25


def test_new_limits_hold_at_once_and_lose_nobody() -> None:
    gate = Gate(Limits(sign=100), Queue())
    sign = gate.lanes["sign"]
    assert let_in(sign, tenant("a"), 50) == 50
    gate.apply(Limits(sign=10))
    with pytest.raises(Backpressure):
        sign.enter(tenant("b"))
    for _ in range(45):
        sign.leave("a")
    assert let_in(sign, tenant("b"), 1) == 1
    assert sign.total == 6
