"""What happened when: a run's rounds as series over time, few enough values to be drawn."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import pairwise

from perf.detail import Series
from perf.load.rounds import Round
from perf.load.seen import label, percentile

MOST = 600
"""Values in a series."""
_STEP_SECONDS = 0.5
_MIB = 1 << 20


def curves(rounds: Sequence[Round]) -> Iterator[Series]:
    """Of the service's processes, then of each operation and client."""
    yield from _processes(rounds)
    step = max(_STEP_SECONDS, math.ceil(sum(one.outcome.window for one in rounds) / MOST))
    yield from _requests(rounds, step)


def _processes(rounds: Sequence[Round]) -> Iterator[Series]:
    samples = [(one.at + sample.at, sample) for one in rounds for sample in one.usage.samples]
    kept = samples[:: max(1, math.ceil(len(samples) / MOST))]
    at = tuple(round(moment, 2) for moment, _ in kept)
    used: list[float | None] = [None]
    for (before, last), (now, sample) in pairwise(kept):
        # The count begins anew with each round.
        spent = sample.workers_cpu - last.workers_cpu
        used.append(round(100 * spent / (now - before), 1) if sample.at > last.at else None)
    yield Series("processor", "%", at, tuple(used))
    yield Series("resident", "MiB", at, tuple(round(one.worker_resident / _MIB, 2) for _, one in kept))
    yield Series("all_resident", "MiB", at, tuple(round(one.all_resident / _MIB, 2) for _, one in kept))
    yield Series("files", "", at, tuple(one.files for _, one in kept))


def _requests(rounds: Sequence[Round], step: float) -> Iterator[Series]:
    """By steps of so many seconds; a step is named by its middle."""
    answered: dict[str, dict[int, array[float]]] = {}
    refused: dict[int, int] = {}
    items: dict[str, int] = {}
    for one in rounds:
        for stream in one.streams:
            seen = one.outcome.seen[stream.name]
            for name, values in seen.latencies.items():
                of = label(name, stream.name, len(one.streams))
                items[of] = stream.items
                bins = answered.setdefault(of, {})
                for came, value in zip(seen.came[name], values, strict=True):
                    bins.setdefault(int((one.at + came) / step), array("d")).append(value)
            for came in seen.refused:
                number = int((one.at + came) / step)
                refused[number] = refused.get(number, 0) + 1
    for of, bins in sorted(answered.items()):
        at = tuple((number + 0.5) * step for number in sorted(bins))
        ordered = [sorted(bins[number]) for number in sorted(bins)]
        yield Series("rate", "1/s", at, tuple(round(len(one) * items[of] / step, 1) for one in ordered), of)
        for kind, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            found = tuple(round(percentile(one, share) * 1e3, 3) for one in ordered)
            yield Series(kind, "ms", at, found, of)
    if refused:
        at = tuple((number + 0.5) * step for number in sorted(refused))
        yield Series("refused", "1/s", at, tuple(round(count / step, 1) for _, count in sorted(refused.items())))
