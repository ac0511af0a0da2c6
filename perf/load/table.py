"""A record for people."""

from __future__ import annotations

import statistics
from typing import Any

from perf.load.figures import median
from perf.load.verdicts import verdicts
from perf.record import Record


def table(made: Record) -> str:
    """A line for each operation and kind of client: medians of the rounds."""
    told: dict[str, Any] = made.detail
    setting = " ".join(f"{name}={value}" for name, value in made.setting.items())
    rounds = len(told["busy"])
    cpu, floor = median(made, "cpu"), median(made, "floor")
    lines = [
        f"{made.name}: {setting}",
        f"{made.seconds:g} s in {rounds} rounds, medians of the rounds; load {made.host.load:g} before",
        f"processor: {cpu:.1f} us an operation, {cpu / floor:.2f} of an Ed25519 signature ({floor:.1f} us)",
        f"busy: {statistics.median(told['processor']):.0%} of the service's cores, generator {max(told['busy']):.0%}",
        f"resident: {_most(made, 'resident'):.0f} MiB a worker at most, {_most(made, 'all_resident'):.0f} in all",
        f"descriptors: {_most(made, 'files'):.0f} at most",
        f"worst round: errors {_most(made, 'errors'):.3%}, shed {_most(made, 'shed'):.3%}",
    ]
    if told["target"] is not None:
        lines.append(f"target {told['target']:,.0f} operations a second")
    if skew := _rounds(made, "skew"):
        lines.append(f"skew of the tenants' p95 {statistics.median(skew):.2f}")
    width = max(len(of) for of in _operations(made)) + 1
    lines += ["", f"{'':{width}} {'a second':>9} {'p50 ms':>8} {'p95':>8} {'p99':>8} {'max':>8}"]
    for of in _operations(made):
        figures = " ".join(f"{median(made, kind, of):8.2f}" for kind in ("p50", "p95", "p99", "max"))
        lines.append(f"{of:{width}} {median(made, 'rate', of):9,.0f} {figures}")
    lines.append("")
    for client, counts in told["clients"].items():
        ended = ", ".join(f"{status} {count:,}" for status, count in (counts["statuses"] | counts["codes"]).items())
        lines.append(f"{client}: {ended}" + (f"; unsent {counts['unsent']:,}" if counts["unsent"] else ""))
    lines += ["", *map(str, verdicts(made))]
    return "\n".join(lines)


def _operations(made: Record) -> list[str]:
    return [one.of for one in made.measures if one.kind == "rate" and one.of]


def _rounds(made: Record, kind: str) -> tuple[float, ...]:
    return next((one.rounds for one in made.measures if (one.kind, one.of) == (kind, "")), ())


def _most(made: Record, kind: str) -> float:
    return max(_rounds(made, kind))
