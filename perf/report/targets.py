"""What was asked for, and what the records say of it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from perf.load.targets import REFERENCES, ours
from perf.record import Record
from perf.report import naming
from perf.report.drawing import plain


class Target(NamedTuple):
    """
    :ivar name: what, for people.
    :ivar unit: of the figure, as people write it.
    :ivar less: less is better.
    :ivar value: the figure of a record; None: it tells nothing of this.
    :ivar limit: at most, or at least where more is better.
    :ivar tile: it is shown large, under this name.
    """

    name: str
    unit: str
    less: bool
    value: Callable[[Record], float | None]
    limit: Callable[[Record], float]
    tile: str = ""


class Result(NamedTuple):
    """What one server reached, or the run where there is none.

    :ivar wanted: with its unit.
    """

    server: str
    wanted: str
    measured: str
    met: bool
    record: Record


class Verdict(NamedTuple):
    """:ivar results: one a server; none: it was not measured."""

    name: str
    results: tuple[Result, ...]
    tile: str = ""


def p95_limit(of: str) -> float | None:
    """Milliseconds that the performance profile allows 95 % of such requests."""
    return REFERENCES[of].limit if of in REFERENCES else None


def judge(records: Sequence[Record]) -> list[Verdict]:
    """Every target once; of several records of a server the worst counts."""
    return [*(_verdict(target, records) for target in (*_latencies(), *TARGETS)), *_benches(records)]


def _measured(
    record: Record,
    kind: str,
    of: str,
    names: Sequence[str],
    suite: str = "load",
    setting: Mapping[str, object] | None = None,
) -> float | None:
    """The median of a measure's rounds."""
    wanted = setting or {}
    if record.suite != suite or record.name not in names or any(record.setting.get(k) != v for k, v in wanted.items()):
        return None
    found = (one.rounds for one in record.measures if (one.kind, one.of) == (kind, of) and one.rounds)
    return next(map(statistics.median, found), None)


def _latencies() -> Iterator[Target]:
    """p95 at 70 % of what the service can do: of the profile, then the service's own."""
    for of, reference in REFERENCES.items():
        value = partial(_measured, kind="p95", of=of, names=_LATENCY)
        tile = "p95 of sign, 70 % load" if of == "sign ed25519" else ""
        yield Target(f"{of}, p95 at 70 % load", "ms", True, value, _always(reference.limit), tile)
        if of == "sign ed25519" or reference.ours != reference.limit:
            yield Target(f"{of}, our own", "ms", True, value, partial(_ours, of))


_LATENCY = tuple(
    f"latency-{name}" for name in ("sign-ed25519", "verify-hit", "verify-miss", "sign-ml-dsa-65", "wrap", "unwrap")
)


def _ours(of: str, record: Record) -> float:
    sync = next((statistics.median(one.rounds) for one in record.measures if one.kind == "sync" and one.rounds), 0.0)
    return ours(of, str(record.setting.get("server")), str(record.setting.get("audit")), sync)


def _load(kind: str, of: str, *names: str, **setting: object) -> Callable[[Record], float | None]:
    return partial(_measured, kind=kind, of=of, names=names, setting=setting)


def _percent(kind: str, names: Sequence[str]) -> Callable[[Record], float | None]:
    def value(record: Record) -> float | None:
        share = _measured(record, kind, "", names)
        return None if share is None else share * 100

    return value


def _share_of_core(record: Record) -> float | None:
    """Operations a second by what the core alone would sign in that time on that core."""
    rate, floor = (_measured(record, kind, "", ("batch",)) for kind in ("rate", "floor"))
    return rate * floor / 1e6 if rate and floor else None


def _by_trivial(record: Record) -> float | None:
    """On Hypercorn: our rate by that of an application that only signs."""
    if record.setting.get("server"):
        return None
    mine, trivial = (
        _measured(record, "rate", f"sign ed25519, {whose} on hypercorn", ("trivial",)) for whose in ("ours", "trivial")
    )
    return mine / trivial if mine and trivial else None


def _edge(cell: str) -> Callable[[Record], float | None]:
    return lambda record: next(
        (
            statistics.median(one.rounds)
            for one in record.measures
            if record.suite == "edge" and (one.kind, one.of) == ("over", cell) and one.rounds
        ),
        None,
    )


def _always(limit: float) -> Callable[[Record], float]:
    return lambda _: limit


_CALM = ("steady", *_LATENCY)
_ANY = (*_CALM, "sign", "verify", "wrap", "batch")
_SINGLES = "single signs over 8 connections, under way:"

TARGETS = (
    Target(
        f"{_SINGLES} 64",
        "/s",
        False,
        _load("rate", "", "sign", server="granian", depth=8, suite="classical", audit="durable"),
        _always(9000),
        "Single signs",
    ),
    Target(
        f"{_SINGLES} 8",
        "/s",
        False,
        _load("rate", "", "sign", server="granian", depth=1, suite="classical", audit="durable"),
        _always(4500),
    ),
    Target("single signs, Hypercorn, by a trivial application's", "", False, _by_trivial, _always(0.85)),
    Target(
        "batches of 256, by the core's own rate",
        "",
        False,
        _share_of_core,
        lambda record: 0.6 if record.setting.get("server") == "hypercorn" else 0.7,
        "Batches, by the core",
    ),
    Target("two tenants at 80/20, skew of p95", "", True, _load("skew", "", "isolation-80"), _always(1.2), "Fairness"),
    Target("two tenants at 99/1, skew of p95", "", True, _load("skew", "", "isolation-99"), _always(2)),
    Target(
        "a single sign under a flood of batches, p95",
        "ms",
        True,
        _load("p95", "sign ed25519, singles", "flood"),
        _always(20),
    ),
    Target(
        "admitted in a tenfold burst, p99, Granian",
        "ms",
        True,
        _load("p99", "sign ed25519, burst", "burst", server="granian"),
        _always(20),
    ),
    Target("5xx and lost streams", "%", True, _percent("errors", _ANY), _always(0.1)),
    Target("429 and 503 below saturation", "%", True, _percent("shed", _CALM), _always(1)),
    Target(
        "memory of a worker", "MiB", True, _load("resident", "", *_ANY, workers=1), _always(100), "Memory of a worker"
    ),
    Target(
        "a sign in process over its cryptography, durable, 64 in flight",
        "µs",
        True,
        _edge("sign ed25519 batch=1, 64 in flight, durable audit"),
        _always(50),
    ),
    Target("the same, nothing recorded", "µs", True, _edge("sign ed25519 batch=1, 64 in flight"), _always(30)),
)


def _verdict(target: Target, records: Sequence[Record]) -> Verdict:
    worst: dict[str, tuple[float, float, float, Record]] = {}
    for record in records:
        value = target.value(record)
        if value is None:
            continue
        limit, server = target.limit(record), naming.server(record)
        margin = value / limit if target.less else limit / max(value, 1e-12)
        if server not in worst or margin > worst[server][0]:
            worst[server] = margin, value, limit, record
    results = (
        Result(
            server,
            _wanted(target.less, plain(limit), target.unit),
            f"{plain(value)} {target.unit}".strip(),
            margin <= 1,
            record,
        )
        for server, (margin, value, limit, record) in sorted(worst.items())
    )
    return Verdict(target.name, tuple(results), target.tile)


def _wanted(less: bool, limit: str, unit: str = "") -> str:
    return f"{'≤' if less else '≥'} {limit} {unit}".strip()


_BENCHES = {
    "floor": ("core beside a C loop, batches of 8 and more", True),
    "scaling": ("two threads beside one, batches of 256 and more", False),
    "pyca": ("core beside pyca/cryptography", False),
    "cost": ("cost among many beside cost among few", True),
    "open": ("opening a store with many keys, seconds", True),
    "memory": ("memory of all processes, two idle workers, MiB", True),
}


def _benches(records: Sequence[Record]) -> Iterator[Verdict]:
    """What suites have judged themselves, all cells of a target in one line."""
    for record in records:
        told: Any = record.detail.get("verdicts") if isinstance(record.detail, dict) else None
        by_target: dict[str, list[Any]] = {}
        for one in told or ():
            by_target.setdefault(str(one.get("target")), []).append(one)
        for target, same in by_target.items():
            if target not in _BENCHES:
                continue
            name, less = _BENCHES[target]
            met = sum(bool(one["met"]) for one in same)
            limits = sorted({float(one["limit"]) for one in same})
            values = sorted(float(one["ratio"]["value"]) for one in same)
            measured = plain(values[0])
            if len(same) > 1:
                measured = f"{measured} to {plain(values[-1])}, {met} of {len(same)} met"
            wanted = _wanted(less, " · ".join(map(plain, limits)))
            yield Verdict(
                _titled(name, record), (Result(naming.server(record), wanted, measured, met == len(same), record),)
            )


def _titled(name: str, record: Record) -> str:
    return f"{record.name}: {name}" if record.suite == "scale" else name
