"""What a run leaves behind: one file in the shape of :class:`Results`, and one that pyperf reads."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

import cryptography
import msgspec
import pyperf  # type: ignore[import-untyped]
from cryptography.hazmat.backends.openssl import backend

from perf.micro.cells import CellLaps, Lane, Measured
from perf.micro.figures import CellFigures, figures
from perf.micro.targets import Verdict, judge
from ron_kms import _core

FORMAT = 2
ROOT = Path(__file__).parents[2]

Metadata = dict[str, str | int | float]


class Results(msgspec.Struct, frozen=True):
    """
    :ivar format: rises when a field changes its meaning or goes.
    :ivar metadata: of the run: commit, versions, processor, load; docs/performance/micro.md names the fields.
    :ivar cells: the figures.
    :ivar verdicts: the targets, each met or missed.
    """

    format: int
    metadata: Metadata
    cells: list[CellFigures]
    verdicts: list[Verdict]


def gather(processes: Sequence[Measured], metadata: Metadata) -> Results:
    """Put the laps of all processes together and judge them."""
    found = [figures(cell) for cell in merge(processes)]
    return Results(FORMAT, processes[0].metadata | metadata, found, judge(found))


def merge(processes: Sequence[Measured]) -> list[CellLaps]:
    """The cells with all processes' laps, in the order of the processes."""
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
    ]


def run_metadata(full: bool, load_before: float) -> Metadata:
    """What pyperf does not collect by itself."""
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "changed": "yes" if _git("status", "--porcelain", "--", "src", "perf", "wheels") else "no",
        "full": "yes" if full else "no",
        "liboqs": _core.liboqs_version(),
        "libsodium": _core.sodium_version(),
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
        "machine": platform.machine(),
        "governor": _governor(),
        "load_before": round(load_before, 2),
        "load_after": round(os.getloadavg()[0], 2),
    }


def write(folder: Path, name: str, results: Results, processes: Sequence[Measured]) -> tuple[Path, Path]:
    """Write both files and give their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    own, theirs = folder / f"{name}.json", folder / f"{name}.pyperf.json"
    own.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
    pyperf_suite(results, processes).dump(str(theirs), replace=True)
    return own, theirs


def pyperf_suite(results: Results, processes: Sequence[Measured]) -> pyperf.BenchmarkSuite:
    """A benchmark for each lane, a run for each process, a value for each lap: seconds an operation on the clock."""
    benchmarks = []
    for number, figure in enumerate(results.cells):
        for i, lane in enumerate(figure.lanes):
            threads = "" if lane.threads == 1 else f" threads={lane.threads}"
            name = f"{figure.operation} {figure.suite} batch={figure.batch} {lane.contender}{threads}"
            runs = [
                pyperf.Run(
                    [lap.span / lap.operations / 1e9 for lap in process.cells[number].lanes[i].laps],
                    metadata=process.metadata | results.metadata | {"name": name, "unit": "second"},
                    collect_metadata=False,
                )
                for process in processes
            ]
            benchmarks.append(pyperf.Benchmark(runs))
    return pyperf.BenchmarkSuite(benchmarks)


def _git(*arguments: str) -> str:
    """What git says of this tree; nothing where there is no git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _governor() -> str:
    try:
        return Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").read_text().strip()
    except OSError:
        return "unknown"
