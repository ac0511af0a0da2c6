"""``python -m perf.edge``: measure, print the table, keep the record."""

from __future__ import annotations

import argparse
import gc
import math
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

import perf.edge
from perf import record
from perf.edge.bench import Bench
from perf.edge.cells import CELLS, SUITES, Cell
from perf.edge.requests import make, work
from perf.edge.results import gather, render
from perf.edge.service import Service, service, unrecorded

SECONDS = 20.0


async def measure(folder: Path, cells: Sequence[Cell], seconds: float, limit: float) -> list[Bench]:
    """Rounds of all cells in turns, so that what disturbs the machine disturbs all.

    :param seconds: at least one round is made.
    :param limit: seconds after which also the first round ends; what it has not come to has no laps.
    """
    with (
        service(folder / "off", "off") as off,
        service(folder / "missing", "off", cached=0) as missing,
        service(folder / "written", "written") as written,
        service(folder / "durable", "durable") as durable,
        unrecorded(off.kms, missing.kms),
    ):
        services = {"off": off, "written": written, "durable": durable}
        found: list[Bench] = []
        for audit, one in services.items():
            found += await _benches(one, [cell for cell in cells if cell.audit == audit and cell.operation != _MISS])
        found += await _benches(missing, [cell for cell in cells if cell.operation == _MISS])
        gc.collect()
        gc.freeze()  # as a worker does
        began = time.monotonic()
        for bench in found:
            if time.monotonic() - began > limit:
                break
            await bench.warm()
            await bench.look_at_memory()
            await bench.round()
        while time.monotonic() - began < seconds:
            for bench in found:
                if time.monotonic() - began > limit:
                    break
                await bench.round()
        return found


_MISS = "verify-miss"


async def _benches(one: Service, cells: Sequence[Cell]) -> list[Bench]:
    made = {operation: await make(one, operation) for operation in dict.fromkeys(cell.operation for cell in cells)}
    return [Bench(cell, one.client, work(cell, made[cell.operation])) for cell in cells]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m perf.edge", description=perf.edge.__doc__)
    parser.add_argument("--operations", type=_operations, default=SUITES, help="some of: " + ",".join(SUITES))
    parser.add_argument("--cell", action="append", choices=list(map(str, CELLS)), help="only this one; may be repeated")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of measuring; one round at least")
    parser.add_argument("--limit", type=float, default=math.inf, help="seconds after which also the first round ends")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="folder for the record")
    parser.add_argument("--role", choices=("result", "baseline"), default="result", help="what the record is for")
    options = parser.parse_args(arguments)
    cells = [
        cell for cell in CELLS if cell.operation in options.operations and str(cell) in (options.cell or [str(cell)])
    ]
    begun = record.begin("edge", "process", options.role, {})
    with tempfile.TemporaryDirectory(prefix="ron-kms-edge-") as folder:
        benches = uvloop.run(measure(Path(folder), cells, options.seconds, options.limit))
    command = shlex.join(["python", "-m", "perf.edge", *(sys.argv[1:] if arguments is None else arguments)])
    results = gather(benches, begun, command, options.seconds)
    print(render(results))
    path = options.results / record.file_name(results)
    record.save(results, path)
    print(f"written: {os.path.relpath(path)}", file=sys.stderr)


def _operations(text: str) -> list[str]:
    chosen = text.split(",")
    if not set(chosen) <= set(SUITES):
        raise argparse.ArgumentTypeError(f"choose from {','.join(SUITES)}")
    return chosen


if __name__ == "__main__":
    main()
