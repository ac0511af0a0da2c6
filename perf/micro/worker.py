"""One process of the bench: rounds over all cells until its time is over. ``__main__`` runs it; JSON goes to stdout."""

from __future__ import annotations

import gc
import math
import random
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pyperf  # type: ignore[import-untyped]

from perf.micro import custody, material, parts
from perf.micro.allocations import memory
from perf.micro.cells import PARTS, Cell, CellLaps, Lane, Lap, Measured
from perf.micro.contenders import Contender, contenders
from perf.micro.floor import Floor


class Job(msgspec.Struct):
    """What the process is told on stdin.

    :ivar seconds: how long it takes, with all preparations; the first pass over all cells comes to its end even so.
    :ivar limit: seconds after which that ends too, and what it has not come to is left out; None: it does not.
    :ivar number: 0: also look at memory; its other use is that each process goes through the cells in its own order.
    """

    library: str
    cells: list[Cell]
    seconds: float
    limit: float | None
    number: int


class Bench:
    """A cell with all its contenders, ready to run."""

    def __init__(self, cell: Cell, contenders: Sequence[Contender], replay: bool) -> None:
        self.cell = cell
        self._contenders = contenders
        self.result = CellLaps(cell, replay, [Lane(c.name, c.threads, []) for c in contenders])
        self._round = 0

    def look_at_memory(self) -> None:
        for contender, lane in zip(self._contenders, self.result.lanes, strict=True):
            if contender.sample is not None:
                lane.memory = memory(contender.sample, contender.operations)

    def run(self, pool: ThreadPoolExecutor) -> None:
        """A round: one lap of each contender, another one first each time, all with the same messages and numbers."""
        count = len(self._contenders)
        for turn in range(count):
            which = (self._round + turn) % count
            self.result.lanes[which].laps.append(self._lap(self._contenders[which], pool))
        self._round += 1

    def forget(self) -> None:
        """Drop what was measured so far: it was to warm up."""
        for lane in self.result.lanes:
            lane.laps.clear()

    def _lap(self, contender: Contender, pool: ThreadPoolExecutor) -> Lap:
        run, calls, threads = contender.runner.run, contender.calls, contender.threads
        first, seed = self._round * calls, self._round + 1
        if threads == 1:
            spans = [run(first, calls, seed)]
        else:
            # All threads do the same work, and one that does it alone does as much.
            parts = [pool.submit(run, first, calls, seed, threads, i) for i in range(threads)]
            spans = [part.result() for part in parts]
        return Lap(
            calls=[wall for span in spans for wall in span.calls],
            cpu=sum(span.cpu for span in spans),
            span=max(span.end for span in spans) - min(span.start for span in spans),
            free=max(span.end - span.start - span.waited for span in spans),
            operations=calls * threads * contender.operations,
        )


def measure(job: Job) -> Measured:
    """Every cell at least once, then again and again in changing order while there is time."""
    started = time.monotonic()
    floor = Floor(job.library)
    signing = dict.fromkeys(cell.suite for cell in job.cells if cell.has_floor)
    materials = {suite: material.make(floor, suite) for suite in signing}
    benches = [
        Bench(cell, contenders(cell, materials[cell.suite], floor), materials[cell.suite].replay)
        if cell.has_floor
        else Bench(cell, (parts if cell.suite in PARTS else custody).contenders(cell, floor), replay=True)
        for cell in job.cells
    ]
    order = random.Random(job.number)
    gc.collect()
    gc.freeze()  # what the bench itself holds costs the measured calls no collection
    deadline = started + job.seconds
    limit = math.inf if job.limit is None else started + job.limit
    with ThreadPoolExecutor(2) as pool:
        for bench in order.sample(benches, len(benches)):
            if time.monotonic() > limit:
                break
            if bench.cell.batch <= 8:
                bench.run(pool)
                bench.forget()
            bench.run(pool)
            if job.number == 0:
                bench.look_at_memory()
        while time.monotonic() < deadline:
            for bench in order.sample(benches, len(benches)):
                if time.monotonic() > deadline:
                    break
                for _ in range(bench.cell.rounds):
                    bench.run(pool)
    return Measured(pyperf.Run([1.0]).get_metadata(), [bench.result for bench in benches])


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Job))))
