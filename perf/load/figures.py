"""Figures of a run, for people and as JSON."""

from __future__ import annotations

import dataclasses
import math
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from perf.load.generator import Outcome, Seen
from perf.load.service import Usage

SCHEMA = "ron-kms/perf/load/1"


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that this share of all does not exceed; values sorted."""
    return values[min(len(values) - 1, max(0, math.ceil(share * len(values)) - 1))] if values else math.nan


def latency(values: Sequence[float]) -> dict[str, float]:
    """Milliseconds."""
    ordered = sorted(values)
    return {name: round(percentile(ordered, share) * 1e3, 3) for name, share in _SHARES}


_SHARES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))


def of_stream(seen: Seen, window: float, items: int = 1) -> dict[str, Any]:
    """One kind of client.

    :param items: operations in a request.
    """
    every = [value for values in seen.latencies.values() for value in values]
    return {
        "requests_per_second": round(len(every) / window, 1),
        "operations_per_second": round(len(every) * items / window, 1),
        "latency_ms": latency(every),
        "by_request_ms": {name: latency(values) for name, values in sorted(seen.latencies.items())},
        "refusal_ms": latency(seen.refusals) if seen.refusals else None,
        "statuses": {str(status): count for status, count in sorted(seen.statuses.items())},
        "unsent": seen.unsent,
    }


def of_run(name: str, outcome: Outcome, usage: Usage, settings: dict[str, Any], items: int = 1) -> dict[str, Any]:
    """A run with what it was measured on."""
    return {
        "schema": SCHEMA,
        "role": "result",
        "name": name,
        "settings": settings,
        "seconds": outcome.window,
        "generator_busy": round(outcome.busy, 3),
        "usage": dataclasses.asdict(usage),
        "streams": {stream: of_stream(seen, outcome.window, items) for stream, seen in outcome.seen.items()},
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """What a figure means nothing without."""
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    return {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commit": commit.stdout.strip() or None,
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "ron_kms": version("ron-kms"),
        "hypercorn": version("hypercorn"),
    }


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
