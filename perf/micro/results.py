"""What a run leaves behind: one record of :mod:`perf.record` with :class:`Results` in it, and one file of pyperf's."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyperf  # type: ignore[import-untyped]

from perf import record
from perf.detail import Distribution, distribution
from perf.micro.cells import FLOOR, CellLaps, Lane, Measured
from perf.micro.figures import CellFigures, LaneFigures, cpu, figures
from perf.micro.targets import Verdict, judge
from perf.record import Measure, Record


class Results(msgspec.Struct, frozen=True):
    """What stands in a record's ``detail``.

    :ivar command: how it is run again.
    :ivar distributions: of the calls of our own side on one thread, cell by cell.
    :ivar full: the long form.
    :ivar load_after: of one minute, when the run had ended.
    :ivar cells: the figures.
    :ivar left_out: cells for which there was no time.
    :ivar verdicts: the targets, each met or missed.
    """

    command: str
    distributions: list[Distribution]
    full: bool
    load_after: float
    cells: list[CellFigures]
    left_out: list[str]
    verdicts: list[Verdict]


def gather(processes: Sequence[Measured], begun: Record, command: str, full: bool, seconds: float) -> Record:
    """Put the laps of all processes together and judge them.

    :raises SystemExit: there was no time for anything.
    """
    laps = merge(processes)
    if not laps:
        raise SystemExit("The machine is so busy that the bench came to nothing in its time: give it --seconds.")
    left_out = [str(cell.cell) for cell in processes[0].cells if all(cell.cell != one.cell for one in laps)]
    found = [figures(cell) for cell in laps]
    return msgspec.structs.replace(
        begun,
        seconds=round(seconds, 1),
        measures=(
            *_floor(laps),
            *(measure for cell, of in zip(laps, found, strict=True) for measure in measures(cell, of)),
        ),
        detail=Results(
            command, list(map(_distribution, laps)), full, round(os.getloadavg()[0], 2), found, left_out, judge(found)
        ),
    )


def _floor(laps: Sequence[CellLaps]) -> Iterator[Measure]:
    """In which units runs of other hours compare; nothing where its cell was not measured."""
    for cell in laps:
        if cell.cell == FLOOR:
            [lane] = (lane for lane in cell.lanes if (lane.contender, lane.threads) == ("core", 1))
            yield Measure("floor", "", tuple(round(cpu(lap) / 1e3, 4) for lap in lane.laps))


def measures(laps: CellLaps, of: CellFigures) -> Iterator[Measure]:
    """What our own side of a cell measured on one thread, and the C loop's processor time beside it.

    A percentile is of all calls of the run, and so one value.
    """
    name = str(laps.cell)
    lanes = {(lane.contender, lane.threads): lane.laps for lane in laps.lanes}
    ours, floor = lanes["core", 1], lanes.get(("floor", 1))
    lane = of.lane("core")
    if lane is None:
        return
    yield Measure("cpu", name, tuple(round(cpu(lap) / 1e3, 4) for lap in ours))
    yield Measure("rate", name, tuple(round(1e9 * lap.operations / lap.span, 1) for lap in ours))
    if floor:
        ratios = (cpu(a) / cpu(b) for a, b in zip(ours, floor, strict=True))
        yield Measure("ratio", name, tuple(round(ratio, 4) for ratio in ratios))
    yield from _of_run(name, lane)


def _distribution(cell: CellLaps) -> Distribution:
    [laps] = (lane.laps for lane in cell.lanes if (lane.contender, lane.threads) == ("core", 1))
    return distribution(str(cell.cell), [t * len(lap.calls) / lap.operations / 1e6 for lap in laps for t in lap.calls])


def _of_run(name: str, lane: LaneFigures) -> Iterator[Measure]:
    for kind in ("p50", "p95", "p99"):
        yield Measure(kind, name, (round(getattr(lane, kind) / 1e3, 7),))
    if lane.memory is not None:
        yield Measure("blocks", name, (round(lane.memory.blocks, 4),))
        yield Measure("bytes", name, (round(lane.memory.kept, 1),))
        if lane.memory.allocations is not None and lane.memory.allocated is not None:
            yield Measure("allocations", name, (round(lane.memory.allocations, 4),))
            yield Measure("allocated", name, (round(lane.memory.allocated, 1),))


def merge(processes: Sequence[Measured]) -> list[CellLaps]:
    """The cells that every process came to, with all their laps, in the order of the processes."""
    return [
        CellLaps(
            first.cell,
            all(other.replay for other in same),
            [
                Lane(
                    lane.contender,
                    lane.threads,
                    [lap for other in same for lap in other.lanes[i].laps],
                    lane.memory,
                )
                for i, lane in enumerate(first.lanes)
            ],
        )
        for first, *rest in zip(*(process.cells for process in processes), strict=True)
        for same in [[first, *rest]]
        if all(lane.laps for cell in same for lane in cell.lanes)
    ]


def write(folder: Path, results: Record, processes: Sequence[Measured]) -> tuple[Path, Path]:
    """Write both files and give their paths; pyperf's is in a folder of its own, for it is no record."""
    own = folder / record.file_name(results)
    theirs = folder / "pyperf" / own.name
    theirs.parent.mkdir(parents=True, exist_ok=True)
    record.save(results, own)
    pyperf_suite(results, processes).dump(str(theirs), replace=True)
    return own, theirs


def pyperf_suite(results: Record, processes: Sequence[Measured]) -> pyperf.BenchmarkSuite:
    """A benchmark for each lane, a run for each process, a value for each lap: seconds an operation on the clock."""
    told: dict[str, Any] = {
        "commit": results.code.commit,
        "changed": "yes" if results.code.changed else "no",
        "governor": results.host.governor,
        **{f"{name}_version": version for name, version in results.code.versions.items()},
    }
    benchmarks = []
    cells: list[CellFigures] = results.detail.cells
    measured = [(process, {str(cell.cell): cell for cell in process.cells}) for process in processes]
    for figure in cells:
        for i, lane in enumerate(figure.lanes):
            threads = "" if lane.threads == 1 else f" threads={lane.threads}"
            name = f"{figure.name} {lane.contender}{threads}"
            runs = [
                pyperf.Run(
                    [lap.span / lap.operations / 1e9 for lap in found[figure.name].lanes[i].laps],
                    metadata=process.metadata | told | {"name": name, "unit": "second"},
                    collect_metadata=False,
                )
                for process, found in measured
            ]
            benchmarks.append(pyperf.Benchmark(runs))
    return pyperf.BenchmarkSuite(benchmarks)
