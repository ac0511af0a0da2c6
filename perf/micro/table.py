"""The table that ``make bench`` prints."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from perf.micro.cells import PARTS
from perf.micro.figures import CellFigures, LaneFigures
from perf.micro.results import Results
from perf.micro.targets import (
    FLOOR_FROM_BATCH,
    FLOOR_LIMIT,
    SCALING_FROM_BATCH,
    SCALING_LIMIT,
    Verdict,
    floor_verdict,
    scaling_verdict,
)
from perf.record import Record

HEAD = (
    f"{'batch':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'calls':>6} {'ops/s':>8} {'x C loop':>15} "
    f"{'2 threads':>10} {'x one thread':>15} {'(C)':>5} {'x pyca':>7} {'blocks':>7} {'bytes':>7} {'allocs':>7}"
)

LEGEND = f"""\
p50, p95, p99: microseconds an operation, a call's time by its batch; of few calls the p99 is the longest.
x C loop: processor time by that of the same calls in C; at most {FLOOR_LIMIT} wanted from batch {FLOOR_FROM_BATCH} on.
2 threads: operations a second. x one thread: how much faster two are, time that other processes took left out;
at least {SCALING_LIMIT} wanted from batch {SCALING_FROM_BATCH} on. (C): what the C loop reaches.
cpu: microseconds of processor time an operation. x floor: by that of what of it is left without Python of ours.
x pyca, x PyNaCl: how much less processor time than theirs, one operation a call; n/a: they have nothing alike.
blocks, bytes: Python allocations that live in the result, an operation. allocs: all that were made, C's too.
A question mark: too few rounds, or the limit is within the bounds of what was measured; a longer run tells."""


def render(run: Record) -> str:
    """The whole text: the run, the cells, the library, the targets."""
    results: Results = run.detail
    parts = (
        _cells(results.cells),
        _alone(results.cells),
        _parts(results.cells),
        _library(results.cells),
        ["", LEGEND],
        _targets(results),
    )
    return "\n".join([*_run(run), *itertools.chain(*parts)])


def _run(run: Record) -> Iterator[str]:
    results: Results = run.detail
    versions = ", ".join(f"{name} {run.code.versions[name]}" for name in _TOLD if name in run.code.versions)
    yield f"commit {run.code.commit[:12]}{' and changes' if run.code.changed else ''}, {versions}"
    yield (
        f"{run.host.cpu}, {run.host.cores} processors, governor {run.host.governor}, "
        f"load {run.host.load} before and {results.load_after} after"
    )
    if not all(cell.replay for cell in results.cells):
        yield "The random numbers could not be repeated: ML-DSA signatures compare by chance, only long runs tell."


_TOLD = ("python", "liboqs", "libsodium", "cryptography", "openssl")


def _cells(cells: Iterable[CellFigures]) -> Iterator[str]:
    heading = ""
    for cell in sorted(cells, key=lambda cell: cell.operation):
        core, two = cell.lane("core"), cell.lane("core", 2)
        if core is None or two is None or cell.to_floor is None or cell.pyca is None:
            continue
        if cell.scaling is None or cell.floor_scaling is None:
            continue
        if f"{cell.operation} {cell.suite}" != heading:
            heading = f"{cell.operation} {cell.suite}"
            yield f"\n{heading}\n{HEAD}"
        yield (
            f"{cell.batch:>6} {_times(core)} {core.per_second:>8,.0f} "
            f"{_judged(cell.to_floor.value, 3, floor_verdict(cell)):>15} {two.per_second:>10,.0f} "
            f"{_judged(cell.scaling.value, 2, scaling_verdict(cell)):>15} {cell.floor_scaling.value:>5.2f} "
            f"{cell.pyca.value:>7.2f} {_memory(core)}"
        )


def _alone(cells: Iterable[CellFigures]) -> Iterator[str]:
    """The cells without a C loop."""
    found = [cell for cell in cells if cell.to_floor is None and cell.suite not in PARTS]
    if found:
        yield "\nwrapping, sealing and loading keys: there is no C loop beside these, and no target"
    heading = ""
    for cell in found:
        core, two = cell.lane("core"), cell.lane("core", 2)
        if core is None or two is None or cell.scaling is None:
            continue
        if f"{cell.operation} {cell.suite}" != heading:
            heading = f"{cell.operation} {cell.suite}"
            yield f"\n{heading}\n{_head('PyNaCl' if cell.pynacl else 'pyca')}"
        beside = cell.pyca or cell.pynacl
        yield (
            f"{cell.batch:>6} {_times(core)} {core.per_second:>8,.0f} {two.per_second:>10,.0f} "
            f"{cell.scaling.value:>12.2f} {f'{beside.value:.2f}' if beside else 'n/a':>8} {_memory(core)}"
        )


def _parts(cells: Iterable[CellFigures]) -> Iterator[str]:
    """The service's own parts, by their floors."""
    heading = ""
    for cell in cells:
        core = cell.lane("core")
        if core is None or cell.suite not in PARTS:
            continue
        if not heading:
            yield "\nparts of the service that a request passes besides its cryptography; no target"
        if f"{cell.operation} {cell.suite}" != heading:
            heading = f"{cell.operation} {cell.suite}"
            yield f"\n{heading}\n{_PARTS_HEAD}"
        beside = f"{cell.to_floor.value:.2f}" if cell.to_floor else "n/a"
        yield f"{cell.batch:>6} {_times(core)} {core.per_second:>9,.0f} {core.cpu:>8.2f} {beside:>8} {_memory(core)}"


_PARTS_HEAD = (
    f"{'batch':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'calls':>6} {'ops/s':>9} {'cpu':>8} {'x floor':>8} "
    f"{'blocks':>7} {'bytes':>7} {'allocs':>7}"
)


def _head(beside: str) -> str:
    return (
        f"{'batch':>6} {'p50':>8} {'p95':>8} {'p99':>8} {'calls':>6} {'ops/s':>8} {'2 threads':>10} "
        f"{'x one thread':>12} {'x ' + beside:>8} {'blocks':>7} {'bytes':>7} {'allocs':>7}"
    )


def _library(cells: Iterable[CellFigures]) -> Iterator[str]:
    found = [(cell, lane) for cell in cells if (lane := cell.lane("library")) is not None]
    if not found:
        return
    yield "\nthrough SigningKey and VerifyKey"
    yield (
        f"{'':<36} {'p50':>8} {'p95':>8} {'p99':>8} {'calls':>6} {'ops/s':>8} "
        f"{'x C loop':>9} {'blocks':>7} {'bytes':>7} {'allocs':>7}"
    )
    for cell, lane in found:
        if cell.library_to_floor is None:
            continue
        yield (
            f"{cell.name:<36} {_times(lane)} "
            f"{lane.per_second:>8,.0f} {cell.library_to_floor.value:>9.3f} {_memory(lane)}"
        )


def _targets(results: Results) -> Iterator[str]:
    texts = {
        "floor": f"at most {FLOOR_LIMIT} of the C loop, batches of {FLOOR_FROM_BATCH} and more",
        "scaling": f"at least {SCALING_LIMIT} on two threads, batches of {SCALING_FROM_BATCH} and more",
    }
    if results.left_out:
        yield "\nleft out, for there was no time: " + "; ".join(results.left_out)
    if results.verdicts:
        yield "\ntargets"
    for target, text in texts.items():
        verdicts = [verdict for verdict in results.verdicts if verdict.target == target]
        missed = [verdict for verdict in verdicts if not verdict.met]
        if verdicts:
            yield f"  {text}: {len(verdicts) - len(missed)} of {len(verdicts)} met"
        yield from (f"    {_word(verdict)}: {verdict.where}, {_bounds(verdict)}" for verdict in missed)
    for verdict in results.verdicts:
        if verdict.target == "pyca":
            limit = f"at least {verdict.limit} of pyca/cryptography"
            yield f"  {verdict.where}, {limit}: {_word(verdict)}, {_bounds(verdict)}"


def _bounds(verdict: Verdict) -> str:
    ratio = verdict.ratio
    beside = "" if verdict.floor is None else f"; the C loop {verdict.floor:.3f}"
    return f"{ratio.value:.3f} ({ratio.low:.3f} to {ratio.high:.3f}){beside}"


def _judged(value: float, digits: int, verdict: Verdict | None) -> str:
    return f"{value:.{digits}f} {_word(verdict):<7}" if verdict else f"{value:.{digits}f}{'':8}"


def _word(verdict: Verdict) -> str:
    return ("met" if verdict.met else "missed") + ("" if verdict.sure else "?")


def _times(lane: LaneFigures) -> str:
    return f"{lane.p50:>8.2f} {lane.p95:>8.2f} {lane.p99:>8.2f} {lane.calls:>6}"


def _memory(lane: LaneFigures) -> str:
    memory = lane.memory
    if memory is None:
        return ""
    made = "" if memory.allocations is None else f" {memory.allocations:>7.2f}"
    return f"{memory.blocks:>7.2f} {memory.kept:>7.0f}{made}"
