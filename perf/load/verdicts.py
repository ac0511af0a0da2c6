"""What is asked of a mix, and whether its record holds it."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import NamedTuple

from perf.load.figures import median
from perf.record import Record


class Verdict(NamedTuple):
    """
    :ivar what: the measure, in words.
    :ivar least: whether the limit is the least that is asked for, and not the most.
    """

    what: str
    value: float
    limit: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least else self.value <= self.limit

    def __str__(self) -> str:
        asked = "at least" if self.least else "at most"
        return f"{self.what}: {self.value:,.4g}, {asked} {self.limit:,.4g}: {'met' if self.met else 'missed'}"


BATCHES = {"granian": 0.70, "hypercorn": 0.60}
"""Of what a core signs, that batches of 256 reach."""
SIGNS = {8: 9_000.0, 1: 4_500.0}
"""Single Ed25519 signatures a second on Granian, durable, with eight connections and so many under way on each."""
SKEWS = {"isolation-80": 1.2, "isolation-99": 2.0}


def verdicts(made: Record) -> Iterator[Verdict]:
    """Of one record, whatever applies to its mix and setting."""
    yield Verdict("share of errors", _mean(made, "errors"), 0.001)
    if made.name not in {"burst", "rotate", "flood"}:
        yield Verdict("share of 429 and 503", _mean(made, "shed"), 0.01)
    yield Verdict("refused by pq_policy", sum(_rounds(made, "pq_policy")), 0)
    yield Verdict("MiB in all", max(_rounds(made, "all_resident")), 512)
    if limit := made.detail.get("files_limit"):
        yield Verdict("share of the descriptors allowed", max(_rounds(made, "files")) / limit, 0.30)
    if made.name != "flood":
        yield Verdict("MiB a worker", max(_rounds(made, "resident")), 100)
    if made.name in SKEWS and _rounds(made, "skew"):
        yield Verdict("skew of the tenants' p95", median(made, "skew"), SKEWS[made.name])
    if made.name == "flood":
        yield Verdict("p95 of single signs, ms", median(made, "p95", "sign ed25519, singles"), 20)
    yield from _by_setting(made)


def _by_setting(made: Record) -> Iterator[Verdict]:
    setting = made.setting
    server, durable, depth = str(setting["server"]), setting["audit"] == "durable", setting.get("depth")
    if setting.get("suite") != "classical":
        return
    eight = setting.get("connections") == 8
    if made.name == "burst" and server == "granian" and eight and depth == 8:
        yield Verdict("p99 of what is admitted in a burst, ms", median(made, "p99", "sign ed25519, burst"), 20)
    if made.name == "batch" and setting.get("batch") == 256 and durable:
        reached = median(made, "rate") * median(made, "floor") / 1e6
        yield Verdict("of what a core signs", reached, BATCHES[server], least=True)
    if made.name == "sign" and server == "granian" and durable and eight and isinstance(depth, int) and depth in SIGNS:
        yield Verdict("signatures a second", median(made, "rate"), SIGNS[depth], least=True)


def _rounds(made: Record, kind: str) -> tuple[float, ...]:
    return next((one.rounds for one in made.measures if (one.kind, one.of) == (kind, "")), ())


def _mean(made: Record, kind: str) -> float:
    return statistics.mean(_rounds(made, kind))
