"""The worst of the workers wins, and silence is not ready."""

from __future__ import annotations

from ron_kms._core import has_aes_gcm
from ron_kms.server.control import Report
from ron_kms.server.readiness import NEEDED, WISHED, Front, Heard, judge
from ron_kms.server.usage import usage

PLAIN = Front("hypercorn", tls=False)
GOOD = dict.fromkeys((*NEEDED, *WISHED), True)


def _heard(slot: int, at: float = 100.0, **wrong: bool) -> Heard:
    return Heard(
        slot=slot, pid=10 + slot, report=Report({**GOOD, **wrong}, inflight=1, connections=2, usage=usage()), at=at
    )


def test_all_well() -> None:
    state = judge([_heard(0), _heard(1)], front=Front("hypercorn", tls=True), stopping=False, now=101.9)
    assert (state.ready, state.missing, state.degraded, state.retry_after) == (True, [], [], 0)
    assert [worker.silent_ms for worker in state.snapshot.workers] == [1900, 1900]
    assert state.snapshot.tls


def test_the_worst_wins() -> None:
    state = judge([_heard(0), _heard(1, store_ready=False)], front=PLAIN, stopping=False, now=100)
    assert (state.ready, state.missing) == (False, ["store_ready"])
    assert [worker.ready for worker in state.snapshot.workers] == [True, False]
    assert state.retry_after == 1


def test_a_wrong_clock_degrades() -> None:
    state = judge([_heard(0, clock_ok=False)], front=PLAIN, stopping=False, now=100)
    assert (state.ready, state.degraded) == (True, ["clock_ok"])


def test_silence() -> None:
    state = judge([_heard(0), _heard(1, at=97.9)], front=PLAIN, stopping=False, now=100)
    assert state.missing == list(NEEDED)
    gone = _heard(1)
    gone.forget()
    state = judge([_heard(0), gone], front=PLAIN, stopping=False, now=100)
    assert state.missing == list(NEEDED)
    assert state.snapshot.workers[1].silent_ms is None


def test_stopping() -> None:
    assert judge([_heard(0)], front=PLAIN, stopping=True, now=100).missing == ["listener_bound"]


def test_suites_that_the_machine_cannot_compute_are_told() -> None:
    told = judge([_heard(0)], front=PLAIN, stopping=False, now=100).snapshot.unavailable_suites
    assert told == ([] if has_aes_gcm() else ["xaes-256-gcm"])
