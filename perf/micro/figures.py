"""From laps to figures: percentiles, and ratios of laps that were run side by side."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

import msgspec

from perf.micro.cells import CellLaps, Lane, Lap, Memory


class Ratio(msgspec.Struct, frozen=True):
    """A ratio and the bounds that hold its true value with about 95 % confidence, given six rounds or more."""

    value: float
    low: float
    high: float
    rounds: int


class LaneFigures(msgspec.Struct, frozen=True):
    """
    :ivar calls: how many were timed, and p50, p95, p99 taken from: of few, the p99 is the longest.
    :ivar p50: microseconds an operation, a call's duration by the number of its operations; p95 and p99 alike.
    :ivar per_second: operations a second on the clock, of all threads together.
    :ivar cpu: microseconds of processor time an operation, median of the rounds.
    """

    contender: str
    threads: int
    rounds: int
    calls: int
    p50: float
    p95: float
    p99: float
    per_second: float
    cpu: float
    memory: Memory | None


class CellFigures(msgspec.Struct, frozen=True):
    """
    :ivar replay: the contenders that call liboqs did so with the same random numbers.
    :ivar to_floor: processor time of the core by that of the C loop, or of a part by that of its floor, on one thread;
        None where there is none.
    :ivar to_floor_two: the same on two threads.
    :ivar scaling: the core's rate on two threads by that on one, time that other processes took left out; None of
        parts, which are Python.
    :ivar scaling_clock: the same on the clock.
    :ivar floor_scaling: what the C loop reaches, time that other processes took left out.
    :ivar pyca: processor time of pyca/cryptography by that of the core; None where it has nothing alike.
    :ivar pynacl: the same of PyNaCl, where it is compared instead.
    :ivar library_to_floor: as ``to_floor``, through SigningKey and VerifyKey.
    """

    suite: str
    operation: str
    batch: int
    replay: bool
    lanes: tuple[LaneFigures, ...]
    to_floor: Ratio | None
    to_floor_two: Ratio | None
    scaling: Ratio | None
    scaling_clock: Ratio | None
    floor_scaling: Ratio | None
    pyca: Ratio | None
    pynacl: Ratio | None
    library_to_floor: Ratio | None

    @property
    def name(self) -> str:
        """As the cell's."""
        return f"{self.operation} {self.suite} batch={self.batch}"

    def lane(self, contender: str, threads: int = 1) -> LaneFigures | None:
        return next((lane for lane in self.lanes if (lane.contender, lane.threads) == (contender, threads)), None)


def figures(measured: CellLaps) -> CellFigures:
    """Everything about one cell."""
    laps = {(lane.contender, lane.threads): lane.laps for lane in measured.lanes}
    core, core_two, floor, floor_two = (laps.get((name, n)) for name in ("core", "floor") for n in (1, 2))
    pyca, pynacl, library = (laps.get((other, 1)) for other in ("pyca", "pynacl", "library"))
    return CellFigures(
        suite=measured.cell.suite,
        operation=measured.cell.operation,
        batch=measured.cell.batch,
        replay=measured.replay,
        lanes=tuple(map(lane_figures, measured.lanes)),
        to_floor=_beside(core, floor, cpu),
        to_floor_two=_beside(core_two, floor_two, cpu),
        scaling=_beside(core_two, core, rate),
        scaling_clock=_beside(core_two, core, clock_rate),
        floor_scaling=_beside(floor_two, floor, rate),
        pyca=of_means(pyca, core) if pyca and core else None,
        pynacl=of_means(pynacl, core) if pynacl and core else None,
        library_to_floor=_beside(library, floor, cpu),
    )


def lane_figures(lane: Lane) -> LaneFigures:
    calls = sorted(duration * len(lap.calls) / lap.operations / 1000 for lap in lane.laps for duration in lap.calls)
    return LaneFigures(
        contender=lane.contender,
        threads=lane.threads,
        rounds=len(lane.laps),
        calls=len(calls),
        p50=percentile(calls, 50),
        p95=percentile(calls, 95),
        p99=percentile(calls, 99),
        per_second=1e9 * sum(lap.operations for lap in lane.laps) / sum(lap.span for lap in lane.laps),
        cpu=statistics.median(map(cpu, lane.laps)) / 1000,
        memory=lane.memory,
    )


def cpu(lap: Lap) -> float:
    """Nanoseconds of processor time an operation."""
    return lap.cpu / lap.operations


def rate(lap: Lap) -> float:
    """Operations a nanosecond, time that other processes took left out."""
    return lap.operations / lap.free


def clock_rate(lap: Lap) -> float:
    return lap.operations / lap.span


def percentile(ordered: Sequence[float], rank: int) -> float:
    """By nearest rank: always a value that was measured."""
    return ordered[max(0, math.ceil(len(ordered) * rank / 100) - 1)]


def side_by_side(above: Sequence[Lap], below: Sequence[Lap], measure: Callable[[Lap], float]) -> Ratio:
    """The median of the rounds' ratios: what disturbs a round disturbs both of its laps, and outliers do not count."""
    return of_rounds([measure(a) / measure(b) for a, b in zip(above, below, strict=True)])


def _beside(above: Sequence[Lap] | None, below: Sequence[Lap] | None, measure: Callable[[Lap], float]) -> Ratio | None:
    return side_by_side(above, below, measure) if above and below else None


def of_rounds(ratios: Sequence[float]) -> Ratio:
    """The median of one ratio a round."""
    return Ratio(statistics.median(ratios), *_median_bounds(sorted(ratios)), len(ratios))


def of_means(above: Sequence[Lap], below: Sequence[Lap]) -> Ratio:
    """The ratio of mean processor times, for laps whose work differs by chance: the random numbers of pyca/cryptography
    cannot be repeated, so that it is the means over many signatures that compare."""
    value = _mean(above) / _mean(below)
    error = 2 * math.sqrt(_relative_error(above) ** 2 + _relative_error(below) ** 2)
    return Ratio(value, value * max(0.0, 1 - error), value * (1 + error), len(above))


def _mean(laps: Iterable[Lap]) -> float:
    return statistics.fmean(map(cpu, laps))


def _relative_error(laps: Sequence[Lap]) -> float:
    if len(laps) < 2:
        return 1.0
    return statistics.stdev(map(cpu, laps)) / math.sqrt(len(laps)) / _mean(laps)


def _median_bounds(ordered: Sequence[float]) -> tuple[float, float]:
    """Order statistics that hold the median with 95 % confidence (by the normal approximation of the binomial)."""
    count = len(ordered)
    low = max(0, math.floor((count - 1.96 * math.sqrt(count)) / 2))
    return ordered[low], ordered[count - 1 - low]
