"""``python -m perf.micro``: measure, print the table, keep the results. ``make bench`` calls it."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

import perf.micro
from perf.micro import floor
from perf.micro.cells import BATCHES, SUITES, Measured, cells
from perf.micro.results import gather, write
from perf.micro.table import render
from perf.micro.worker import Job
from perf.record import RESULTS, ROOT, begin

SHORT = (1, 70.0)
FULL = (6, 150.0)
"""Processes, and seconds of each."""
PATIENCE = 1.2
"""On a busy machine a process takes so many times as long, and then leaves out what it has not come to."""


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    count, seconds = FULL if options.full else SHORT
    limit: float | None = PATIENCE * seconds
    if options.seconds is not None:
        count, seconds, limit = options.processes, options.seconds, None
    begun = begin("micro", "bench", options.role, {})
    library = floor.build()
    processes = []
    for number in range(count):
        print(f"process {number + 1} of {count}, about {seconds:.0f} s", file=sys.stderr, flush=True)
        job = Job(str(library), cells(options.suites, options.batches), seconds, limit, number)
        processes.append(_run(job))
    command = shlex.join(["python", "-m", "perf.micro", *(sys.argv[1:] if arguments is None else arguments)])
    results = gather(processes, begun, command, options.full, count * seconds)
    print(render(results))
    for path in write(options.results, results, processes):
        print(f"written: {os.path.relpath(path)}", file=sys.stderr)


def _run(job: Job) -> Measured:
    """One process, with the loop preloaded so that its getentropy is the one that liboqs calls."""
    done = subprocess.run(
        [sys.executable, "-m", "perf.micro.worker"],
        input=msgspec.json.encode(job),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": job.library},
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit("The bench stopped: the process that measures failed, as it says above.")
    return msgspec.json.decode(done.stdout, type=Measured)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m perf.micro", description=perf.micro.__doc__)
    parser.add_argument(
        "--full",
        action="store_true",
        default=os.environ.get("BENCH_FULL") == "1",
        help="take a quarter of an hour (BENCH_FULL=1)",
    )
    parser.add_argument("--seconds", type=float, help="of a process, and one pass at least")
    parser.add_argument("--processes", type=int, default=1, help="with --seconds: so many, for each has its own memory")
    parser.add_argument("--suites", type=_suites, default=SUITES, help="some of: " + ",".join(SUITES))
    parser.add_argument("--batches", type=_batches, default=BATCHES, help="some of: 1,8,64,256,1024")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the JSON files")
    parser.add_argument("--role", choices=("result", "baseline"), default="result", help="what the record is for")
    return parser.parse_args(arguments)


def _suites(text: str) -> list[str]:
    chosen = text.split(",")
    if not set(chosen) <= set(SUITES):
        raise argparse.ArgumentTypeError(f"choose from {','.join(SUITES)}")
    return chosen


def _batches(text: str) -> list[int]:
    chosen = text.split(",")
    if not set(chosen) <= set(map(str, BATCHES)):
        raise argparse.ArgumentTypeError(f"choose from {','.join(map(str, BATCHES))}")
    return [int(batch) for batch in chosen]


if __name__ == "__main__":
    main()
