"""Records of all suites as a run leaves them, made up: shapes are real, figures are not."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

from perf.detail import Series, distribution
from perf.record import Code, Host, Measure, Record, Value

HOST = Host("box-2c", "AMD EPYC", 2, 8 << 30, "6.1.0", "unknown", 0.4)
CODE = Code("0123456789abcdef0123456789abcdef01234567", False, {"python": "3.11.7"})


def record(
    suite: str, name: str, measures: Sequence[Measure] = (), detail: Any = None, seconds: float = 10.0, **setting: Value
) -> Record:
    return Record(
        role="result",
        suite=suite,
        name=name,
        run="1",
        at="2026-11-23T23:00:00Z",
        seconds=seconds,
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


def load(server: str, slow: float) -> list[Record]:
    """Of perf.load on one server."""
    signs, verifies = _latencies(0.8 * slow, 0.3), _latencies(0.6 * slow, 0.35)
    wraps = _latencies(1.3 * slow, 0.4)
    kinds = {"sign ed25519": signs, "verify ed25519": verifies, "wrap x25519": wraps}
    setting: dict[str, Value] = {"server": server, "audit": "durable", "suites": "classical", "transport": "http2"}
    command = {"command": f"python -m perf.load run --mix steady --server {server}"}
    steady = record(
        "load",
        "steady",
        [
            *(Measure("p95", of, (sorted(values)[int(len(values) * 0.95)],)) for of, values in kinds.items()),
            Measure("errors", "", (0.0, 0.0)),
            Measure("shed", "", (0.0, 0.001)),
            Measure("resident", "", (82.0, 83.0)),
        ],
        {"distributions": [distribution(of, values) for of, values in kinds.items()], **command},
        **setting,
    )
    sign = record("load", "sign", [Measure("rate", "", (10_000 / slow, 10_200 / slow))], command, **setting, depth=8)
    batch = record("load", "batch", [Measure("rate", "", (48_000 / slow**0.1,))], command, **setting, batch=256)
    tenants = [_wave("p95", "ms", 8 * slow, f"sign ed25519, {of}") for of in ("top", "low")]
    rates = [_wave("rate", "1/s", rate / slow, f"sign ed25519, {of}") for of, rate in (("top", 7800), ("low", 1950))]
    isolation = record(
        "load",
        "isolation-80",
        [Measure("skew", "", (1.03, 1.05))],
        {"series": [*tenants, *rates], **command},
        **setting,
    )
    humps = [
        _wave("p99", "ms", 2 * slow, "sign ed25519", hump=6),
        _wave("rate", "1/s", 1500, "sign ed25519", hump=3),
        _wave("refused", "1/s", 0.01, hump=900_000),
    ]
    burst = record(
        "load", "burst", [Measure("p99", "sign ed25519, burst", (12.2 * slow,))], {"series": humps}, **setting
    )
    cached = record("load", "latency-verify-hit", [Measure("p95", "verify ed25519", (1.2 * slow,))], **setting)
    return [steady, cached, sign, batch, isolation, burst]


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
        *chaos(),
        oneshot(),
        profile("granian", 1.0),
        profile("hypercorn", 3.0),
    ]
