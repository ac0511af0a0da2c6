"""Records of all suites as a run leaves them, made up: shapes are real, figures are not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from perf.detail import Series, distribution
from perf.record import Code, Host, Measure, Record, Value

HOST = Host("box-2c", "AMD EPYC", 2, 8 << 30, "6.1.0", "unknown", 0.4)
CODE = Code("0123456789abcdef0123456789abcdef01234567", False, {"python": "3.11.7"})


def record(
    suite: str,
    name: str,
    /,
    measures: Sequence[Measure] = (),
    detail: Any = None,
    seconds: float = 10.0,
    **setting: Value,
) -> Record:
    return Record(
        role="result",
        suite=suite,
        name=name,
        run="1",
        at="2026-11-23T23:00:00Z",
        seconds=10.0,
        setting=setting,
        host=HOST,
        code=CODE,
        measures=tuple(measures),
        detail=detail,
    )


def _latencies(median: float, tail: float, count: int = 20_000) -> list[float]:
    source = random.Random(f"{median} {tail}")
    return [median * math.exp(source.gauss(0, tail)) for _ in range(count)]


def _wave(name: str, unit: str, level: float, of: str = "", *, hump: float = 1.0, seconds: int = 60) -> Series:
    source = random.Random(f"{name} {of} {level}")
    values = [
        round(level * source.uniform(0.92, 1.08) * (hump if seconds * 0.4 < at < seconds * 0.6 else 1), 4)
        for at in range(seconds)
    ]
    return Series(name, unit, tuple(float(at) for at in range(seconds)), tuple(values), of)


KINDS = (
    ("latency-sign-ed25519", "sign ed25519", 0.8),
    ("latency-verify-hit", "verify ed25519", 0.6),
    ("latency-sign-ml-dsa-65", "sign ml-dsa-65", 1.6),
)


def load(server: str, slow: float) -> list[Record]:
    """Of perf.load on one server."""
    setting: dict[str, Value] = {
        "server": server,
        "audit": "durable",
        "transport": "http2",
        "profile": "file",
        "workers": 1,
        "suite": "classical",
        "connections": 8,
        "depth": 8,
    }
    command = {"command": f"python -m perf.load latency --server {server}"}
    made = []
    for name, of, median in KINDS:
        values = _latencies(median * slow, 0.3)
        measures = [
            Measure("sync", "", (0.2,)),
            Measure("p95", of, (sorted(values)[int(len(values) * 0.95)],)),
            *_health(),
        ]
        detail = {"distributions": [distribution(of, values)], **command}
        made.append(record("load", name, measures, detail, **setting, share=0.7))
    for name, late, payload in (
        ("delta-sign-classical", 1.0, 300.0),
        ("delta-sign-hybrid", 3.5, 5000.0),
        ("delta-verify-classical", 1.0, 300.0),
        ("delta-verify-or", 1.2, 5000.0),
        ("delta-verify-and", 1.4, 5000.0),
    ):
        of = name.removeprefix("delta-")
        measures = [
            Measure("p95", of, (late, late)),
            Measure("payload", of, (payload,)),
            Measure("cpu", "", (60 * late,)),
        ]
        made.append(record("load", name, measures, command, **setting, share=0.7))
    sign = [Measure("rate", "", (10_000 / slow, 10_200 / slow)), *_health()]
    batch = [Measure("rate", "", (48_000 / slow**0.1,)), Measure("floor", "", (14.0,)), *_health()]
    tenants = [_wave("p95", "ms", 8 * slow, f"sign ed25519, {of}") for of in ("top", "low")]
    rates = [_wave("rate", "1/s", rate / slow, f"sign ed25519, {of}") for of, rate in (("top", 7800), ("low", 1950))]
    humps = [
        _wave("p99", "ms", 2 * slow, "sign ed25519", hump=6),
        _wave("rate", "1/s", 1500, "sign ed25519", hump=3),
        _wave("refused", "1/s", 0.01, hump=900_000),
    ]
    skew = [Measure("skew", "", (1.03, 1.05))]
    return [
        *made,
        record("load", "sign", sign, command, **setting),
        record("load", "batch", batch, command, **setting, batch=256),
        record("load", "isolation-80", skew, {"series": [*tenants, *rates], **command}, **setting),
        record("load", "burst", [Measure("p99", "sign ed25519, burst", (12.2 * slow,))], {"series": humps}, **setting),
    ]


def _health() -> list[Measure]:
    return [
        Measure("errors", "", (0.0, 0.0)),
        Measure("shed", "", (0.0, 0.001)),
        Measure("resident", "", (82.0, 83.0)),
    ]


def micro() -> Record:
    """Of perf.micro: two operations, five sizes of batches."""
    cells = []
    for operation, suite, cost, pyca in (("sign", "ed25519", 13.5, 25.0), ("verify", "ed25519", 40.0, 80.0)):
        for batch in (1, 8, 64, 256, 1024):
            lanes = [
                {"contender": name, "threads": 1, "cpu": one}
                for name, one in (("core", cost + 2 / batch), ("floor", cost), ("pyca", pyca))
            ]
            cells.append({"operation": operation, "suite": suite, "batch": batch, "lanes": lanes})
    ratio = {"value": 1.02, "low": 1.0, "high": 1.03, "rounds": 9}
    verdicts = [
        {
            "target": "floor",
            "where": f"sign ed25519 batch={batch}",
            "limit": 1.05,
            "ratio": ratio,
            "met": True,
            "sure": True,
        }
        for batch in (8, 64)
    ]
    return record("micro", "bench", [], {"cells": cells, "verdicts": verdicts})


def soak() -> Record:
    series = [
        _wave("resident", "MiB", 84, seconds=600),
        _wave("files", "", 41, seconds=600),
        _wave("p95", "ms", 1.4, "sign ed25519", seconds=600),
    ]
    return record("soak", "mixed", [], {"series": series}, server="granian")


def scale(server: str, slow: float) -> list[Record]:
    numbers = (1, 10, 100, 1000)
    tenants = [
        Measure("cpu", f"{operation}, {number} tenants", (cost * slow * number**0.01,))
        for operation, cost in (("sign", 90.0), ("verify", 100.0))
        for number in numbers
    ]
    batch = [Measure("cpu", f"sign ed25519, batch {size}", (18 + 90 * slow / size,)) for size in (1, 16, 256)]
    model = {
        "points": {one.of: [one.rounds[0], one.rounds[0] * 1.05] for one in batch},
        "base": {"sign": 80.0 * slow},
        "item": {"sign": 4.0},
        "kib": 2.0,
        "memory": {"supervisor": 60.0, "worker": 70.0},
        "median": 0.03,
        "worst": -0.11,
    }
    return [
        record("scale", "tenants", tenants, {}, server=server),
        record("scale", "batch", batch, {}, server=server),
        record("scale", "model", [], model, server=server),
    ]


def chaos() -> list[Record]:
    checks = [
        {
            "key": "a",
            "statement": "who is connected gets answers meanwhile",
            "held": True,
            "seen": "312 x 200; p99 9 ms",
        },
        {"key": "b", "statement": "no request is answered with 5xx", "held": False, "seen": "2 x 500"},
    ]
    return [record("chaos", "slow-loris", [], {"checks": checks}, server="granian")]


STACKS = (
    ("MainThread", ("run (asyncio/runners.py)", "__call__ (ron_kms/api/http/app.py)"), 40),
    ("MainThread", ("run (asyncio/runners.py)", "data_received (hypercorn/asyncio/tcp_server.py)"), 30),
    ("crypto_0", ("_bootstrap (threading.py)", "sign (ron_kms/custody/core.py)"), 50),
    ("ron-kms-audit", ("_bootstrap (threading.py)", "sync (ron_kms/audit/journal.py)"), 10),
)


def profile(server: str, slow: float) -> Record:
    costs = {"cryptography": 16.0, "edge": 30.0, "audit": 9.0, "server": 25.0 * slow, "other": 1.0}
    detail = {
        "command": f"python -m perf.profiles sign-m8 --server {server}",
        "stacks": STACKS,
        "distributions": [distribution("loop", _latencies(0.4 * slow, 0.9))],
        "threads": [
            {
                "name": thread,
                "cpu": 20.0,
                "queued": 3.0,
                "switches": 0.2,
                "states": {"runs": 0.5, "waits for the lock": 0.2, "idle": 0.3},
            }
            for thread, _, _ in STACKS[1:]
        ],
        "heap": {
            "operations": 1000,
            "allocations": 61.0,
            "allocated": 14_000.0,
            "peak": 61.5,
            "places": [["read (ron_kms/api/http/body.py)", 4.0, 900.0]],
        },
    }
    return record(
        "profiles", "sign-m8", [Measure("cpu", of, (cost,)) for of, cost in costs.items()], detail, server=server
    )


def oneshot() -> Record:
    return record("oneshot", "short", [Measure("once", "ron-kms --version", (150.0, 160.0, 149.0))])


def every() -> list[Record]:
    """One of everything."""
    return [
        *load("granian", 1.0),
        *load("hypercorn", 3.0),
        micro(),
        soak(),
        *scale("granian", 1.0),
        *chaos(),
        oneshot(),
        profile("granian", 1.0),
        profile("hypercorn", 3.0),
    ]


def baselines(records: Sequence[Record]) -> list[Record]:
    """Of an earlier hour, a little better each."""
    return [
        msgspec.structs.replace(
            one,
            role="baseline",
            run="0",
            at="2026-11-22T23:00:00Z",
            measures=tuple(
                Measure(each.kind, each.of, tuple(value * 0.98 for value in each.rounds)) for each in one.measures
            ),
        )
        for one in records
        if one.suite == "load"
    ]
