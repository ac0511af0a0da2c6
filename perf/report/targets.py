"""What was asked for, and what the records say of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from perf.record import KINDS, Record
from perf.report.drawing import plain


class Target(NamedTuple):
    """
    :ivar name: what, for people.
    :ivar names: scenarios of ``suite`` that tell of it.
    :ivar kind: of measure.
    :ivar of: which one of the kind: the first words of its name.
    :ivar limit: in the unit of the kind; at most, or at least where more is better.
    :ivar setting: what the record must have set.
    :ivar tile: it is shown large, under this name.
    """

    name: str
    names: tuple[str, ...]
    kind: str
    of: str
    limit: float
    setting: dict[str, object] = {}  # noqa: RUF012 - never changed
    tile: str = ""
    suite: str = "load"


class Verdict(NamedTuple):
    """
    :ivar wanted: with its unit.
    :ivar measured: with its unit; empty: it was not.
    :ivar met: None: it was not measured.
    :ivar tile: as in the target.
    """

    name: str
    wanted: str
    measured: str
    met: bool | None
    record: Record | None
    tile: str = ""


P95 = (
    ("sign ed25519", 1.0),
    ("sign ml-dsa-65", 10.0),
    ("verify ed25519, miss", 5.0),
    ("verify", 1.0),
    ("wrap", 6.0),
    ("unwrap", 6.0),
)
"""Milliseconds that 95 % of requests may take below saturation, by the first words of a request's name."""

_LATENCIES = ("sign-ed25519", "sign-ml-dsa-65", "verify-hit", "verify-miss", "wrap", "unwrap")
_CALM = ("steady", *(f"latency-{name}" for name in _LATENCIES))
_ANY = (*_CALM, "sign", "verify", "wrap", "batch")
_EDGE = "sign ed25519, 64 in flight"
_GRANIAN: dict[str, object] = {"server": "granian"}
_HYPERCORN: dict[str, object] = {"server": "hypercorn"}

TARGETS = (
    Target(
        "sign Ed25519, p95 at 70 % load, Granian",
        ("latency-sign-ed25519",),
        "p95",
        "sign ed25519",
        1.0,
        _GRANIAN,
        "Sign p95, Granian",
    ),
    Target("the same, Hypercorn", ("latency-sign-ed25519",), "p95", "sign ed25519", 3.5, _HYPERCORN),
    Target("sign ML-DSA-65, p95 at 70 % load", ("latency-sign-ml-dsa-65",), "p95", "sign ml-dsa-65", 10.0),
    Target("verify, p95 at 70 % load, key cached", ("latency-verify-hit",), "p95", "verify ed25519", 1.0),
    Target("verify, p95 at 70 % load, key not cached", ("latency-verify-miss",), "p95", "verify ed25519", 5.0),
    Target("wrap, p95 at 70 % load", ("latency-wrap",), "p95", "wrap", 6.0),
    Target("unwrap, p95 at 70 % load", ("latency-unwrap",), "p95", "unwrap", 6.0),
    Target(
        "single signs, 64 under way, Granian", ("sign",), "rate", "", 9000.0, _GRANIAN | {"depth": 8}, "Signs, Granian"
    ),
    Target("single signs, 8 under way, Granian", ("sign",), "rate", "", 4500.0, _GRANIAN | {"depth": 1}),
    Target("two tenants at 80/20, skew of p95", ("isolation-80",), "skew", "", 1.2, {}, "Fairness at 80/20"),
    Target("two tenants at 99/1, skew of p95", ("isolation-99",), "skew", "", 2.0),
    Target("a single sign under a flood of batches, p95", ("flood",), "p95", "sign ed25519", 20.0),
    Target("admitted in a tenfold burst, p99, Granian", ("burst",), "p99", "sign ed25519, burst", 20.0, _GRANIAN),
    Target("5xx and lost streams", _ANY, "errors", "", 0.001),
    Target("429 and 503, below saturation", _CALM, "shed", "", 0.01),
    Target("resident memory of a worker", _ANY, "resident", "", 100.0, {}, "Memory of a worker"),
    Target(
        "a sign over its cryptography, durable, 64 in flight", (), "over", _EDGE + ", durable", 50.0, {}, "", "edge"
    ),
    Target("the same, nothing recorded", (), "over", _EDGE, 30.0, {}, "", "edge"),
)


def p95_limit(of: str) -> float | None:
    """Milliseconds, as :data:`P95` has them."""
    return next((limit for name, limit in P95 if _begins(of, name)), None)


def _begins(of: str, words: str) -> bool:
    """``sign ed25519, top`` begins with ``sign ed25519``, and ``sign ed25519+ml-dsa-65`` does not."""
    return of == words or of.startswith((f"{words} ", f"{words}, "))


def judge(records: Sequence[Record]) -> list[Verdict]:
    """Every target once; the worst record counts."""
    return [*(_worst(target, records) for target in TARGETS), *_benches(records)]


def _worst(target: Target, records: Sequence[Record]) -> Verdict:
    kind = KINDS[target.kind]
    wanted = f"{'≤' if kind.less else '≥'} {_figure(target.limit, target.kind)}"
    found = [
        (value, record)
        for record in records
        if _applies(target, record) and (value := _value(target, record)) is not None
    ]
    if not found:
        return Verdict(target.name, wanted, "", None, None, target.tile)
    value, record = (max if kind.less else min)(found, key=lambda one: one[0])
    met = value <= target.limit if kind.less else value >= target.limit
    return Verdict(target.name, wanted, _figure(value, target.kind), met, record, target.tile)


def _applies(target: Target, record: Record) -> bool:
    return (
        record.suite == target.suite
        and (not target.names or record.name in target.names)
        and all(record.setting.get(name) == value for name, value in target.setting.items())
    )


def _value(target: Target, record: Record) -> float | None:
    """The median of the rounds; of several that begin alike the worst."""
    found = [
        statistics.median(one.rounds)
        for one in record.measures
        if one.kind == target.kind and one.rounds and (_begins(one.of, target.of) if target.of else not one.of)
    ]
    if not found:
        return None
    return max(found) if KINDS[target.kind].less else min(found)


def _figure(value: float, kind: str) -> str:
    if kind in {"errors", "shed"}:
        return f"{plain(value * 100)} %"
    return f"{plain(value)} {KINDS[kind].unit.replace('1/s', 'a second').replace('us', 'µs')}".strip()


_BENCHES = {
    "floor": "core beside a C loop, batches of 8 and more",
    "scaling": "two threads beside one, batches of 256 and more",
    "pyca": "core beside pyca/cryptography",
    "cost": "a key among many beside a key among few",
    "open": "opening a store with many keys",
}


def _benches(records: Sequence[Record]) -> Iterator[Verdict]:
    """What suites have judged themselves, all cells of a target in one line."""
    for record in records:
        told: Any = record.detail.get("verdicts") if isinstance(record.detail, dict) else None
        by_target: dict[str, list[Any]] = {}
        for one in told or ():
            by_target.setdefault(str(one.get("target")), []).append(one)
        for name, same in by_target.items():
            if name not in _BENCHES:
                continue
            met = sum(bool(one["met"]) for one in same)
            limits = sorted({float(one["limit"]) for one in same})
            values = sorted(float(one["ratio"]["value"]) for one in same)
            sign = "≥" if name in {"scaling", "pyca"} else "≤"
            wanted = f"{sign} {' · '.join(map(plain, limits))}"
            measured = (
                f"{plain(values[0])} to {plain(values[-1])}; {met} of {len(same)}"
                if len(same) > 1
                else plain(values[0])
            )
            yield Verdict(_BENCHES[name], wanted, measured, met == len(same), record)
