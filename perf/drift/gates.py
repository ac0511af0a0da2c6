"""What must not get worse, and by how much: section 5 of the performance profile."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from perf.record import Measure, Record

Against = Literal["baseline", "limit", "count"]

BURSTS = re.compile(r"burst|flood|rotate")
"""Scenarios that ask for more than there is: requests are refused and wait there, as they should."""


class Gate(NamedTuple):
    """One gate.

    :ivar kinds: of the measures that it judges, see :data:`perf.record.KINDS`.
    :ivar of: which of them, by their ``of``, in which it is searched.
    :ivar limit: ``baseline``: how much more than the baseline is allowed, as a share of it. ``limit``: the value
        itself. ``count``: how many more than the baseline's.
    :ivar nothing: for ``limit``, the value at which there is nothing to say; noise is judged by what lies between.
    :ivar by_floor: values of different runs are compared in units of the floor of their rounds.
    :ivar slack: a change smaller than this, in the measure's unit, is none: for what is next to nothing.
    :ivar excused: scenarios to which it does not apply.
    :ivar profile: the line that it stands for.
    """

    name: str
    kinds: frozenset[str]
    of: re.Pattern[str]
    limit: float
    against: Against
    profile: str
    nothing: float = 0.0
    by_floor: bool = False
    slack: float = 0.0
    excused: re.Pattern[str] | None = None

    def judges(self, record: Record, measure: Measure) -> bool:
        if measure.kind not in self.kinds or not self.of.search(measure.of):
            return False
        return self.excused is None or not self.excused.search(record.name)


_ANY = re.compile("")
_P95 = frozenset({"p95"})

GATES = (
    Gate(
        "p95-sign-ed25519",
        _P95,
        re.compile(r"^sign\b.*\bed25519\b(?!\+)"),
        0.10,
        "baseline",
        "p95 of sign(ed25519) up by more than 10 %",
        by_floor=True,
        excused=BURSTS,
    ),
    Gate(
        "p95-sign-ml-dsa",
        _P95,
        re.compile(r"^sign\b.*\bml-dsa"),
        0.15,
        "baseline",
        "p95 of sign(ml-dsa) up by more than 15 %",
        by_floor=True,
        excused=BURSTS,
    ),
    Gate(
        "p95-verify-hit",
        _P95,
        re.compile(r"^verify\b(?!.*\bmiss)"),
        0.10,
        "baseline",
        "p95 of verify(hit) up by more than 10 %",
        by_floor=True,
        excused=BURSTS,
    ),
    # What a core can do in a second is what an operation costs of it: a tenth less is a ninth more.
    Gate(
        "throughput",
        frozenset({"cpu", "ratio"}),
        re.compile(r"^(sign|$)"),
        1 / 0.9 - 1,
        "baseline",
        "sign/sec down by more than 10 %, by processor time an operation",
        by_floor=True,
    ),
    Gate(
        "cpu",
        frozenset({"cpu", "ratio"}),
        _ANY,
        0.15,
        "baseline",
        "processor time up by more than 15 %",
        by_floor=True,
        slack=0.02,
    ),
    Gate(
        "memory",
        frozenset({"resident", "all_resident"}),
        _ANY,
        0.15,
        "baseline",
        "memory up by more than 15 %",
    ),
    Gate(
        "allocations",
        frozenset({"blocks", "bytes", "allocations", "allocated"}),
        re.compile(r"^(?!.*\baudit$)"),  # the audit log's own thread allocates when its time has come
        0.15,
        "baseline",
        "allocations an operation up by more than 15 %",
        slack=0.1,
    ),
    Gate(
        "errors",
        frozenset({"errors"}),
        _ANY,
        0.001,
        "limit",
        "5xx above 0.1 %, sustained",
    ),
    Gate(
        "shed",
        frozenset({"shed"}),
        _ANY,
        0.01,
        "limit",
        "429 and 503 above 1 %, sustained, but in a burst",
        excused=BURSTS,
    ),
    Gate(
        "pq-policy",
        frozenset({"pq_policy"}),
        _ANY,
        0.0,
        "count",
        "refusals by the post-quantum policy above the baseline",
    ),
    Gate(
        "fairness",
        frozenset({"skew"}),
        _ANY,
        2.0,
        "limit",
        "p95 of two tenants more than 2x apart",
        nothing=1.0,
    ),
)
