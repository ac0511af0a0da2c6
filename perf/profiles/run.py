"""One profile: four looks at a worker under the same load, one after the other, so that none disturbs another."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from perf import record
from perf.detail import distribution
from perf.floor import signature_us
from perf.load.generator import Stream
from perf.load.generator import run as generate
from perf.load.mixes import Load, prepare
from perf.load.service import Place, Service, serving
from perf.profiles import heap, spy, threads
from perf.profiles.detail import Detail, Heap, Thread
from perf.profiles.probing import Probe
from perf.profiles.stacks import Stack, awake, by_part, pruned, weighted
from perf.record import Measure, Record
from perf.report.flame import standalone

T = TypeVar("T")


class Scenario(NamedTuple):
    """
    :ivar mix: of perf/load/mixes.py.
    :ivar connections: and requests under way on each of them.
    """

    mix: str
    connections: int
    depth: int
    batch: int = 1


SCENARIOS: Mapping[str, Scenario] = {
    "sign-m1": Scenario("sign", 8, 1),
    "sign-m8": Scenario("sign", 8, 8),
    "batch": Scenario("batch", 2, 2, 256),
    "verify": Scenario("verify", 8, 8),
}
WARMUP_SECONDS = 1.0


class Looks(NamedTuple):
    """
    :ivar cpu: microseconds of processor time an operation, of all threads of the worker.
    :ivar stacks: samples; ``weighed``: as processor time an operation.
    """

    rate: float
    cpu: float
    floor: float
    threads: list[Thread]
    stacks: list[Stack]
    weighed: list[Stack]
    native: list[Stack]
    heap: Heap
    told: dict[str, list[float]]


def profile(name: str, server: str, core: int, seconds: float, out: Path, command: str) -> Record:
    """Load a service and look at its worker.

    :param core: of the service; the caller is bound to others.
    :param out: where drawings and stacks go.
    """
    scenario = SCENARIOS[name]
    setting: dict[str, record.Value] = {
        "server": server,
        "audit": "durable",
        "transport": "http2",
        "profile": "file",
        **scenario._asdict(),
    }
    begun = record.begin("profiles", name, "result", setting)
    stem = out / record.file_name(begun).removesuffix(".json")
    with tempfile.TemporaryDirectory(prefix="ron-kms-profile-") as folder:
        probe = Probe(Path(folder))
        with serving([core], Place(under=probe.under()), server=server) as service:
            looks = _look(service, scenario, probe, seconds, stem)
    files = _write(stem, f"{name}, {server}", looks)
    detail = Detail(
        command=command,
        distributions=tuple(distribution(of, values) for of, values in looks.told.items() if values),
        stacks=tuple(pruned(looks.weighed)),
        native=tuple(pruned([one for one in looks.native if threads.state(one.frames) == threads.RUNS])),
        threads=tuple(looks.threads),
        heap=looks.heap,
        files=tuple(path.name for path in files),
    )
    return msgspec.structs.replace(
        begun, seconds=seconds * 4, measures=tuple(_measures(looks)), detail=msgspec.to_builtins(detail)
    )


def _look(service: Service, scenario: Scenario, probe: Probe, seconds: float, stem: Path) -> Looks:
    load = Load(connections=scenario.connections, depth=scenario.depth, batch=scenario.batch)
    [stream] = prepare(scenario.mix, service, load).streams(0.0)
    [worker] = service.workers()
    floor = signature_us(service.cores)
    _loaded(service, stream, WARMUP_SECONDS)
    known = threads.names(worker)
    before = threads.taken(worker, known)
    with probe.sending():
        operations = _loaded(service, stream, seconds)
    after = threads.taken(worker, known)
    python, native = stem.with_suffix(".speedscope.json"), stem.with_suffix(".native.speedscope.json")
    most: dict[str, float] = {}

    def sample() -> None:
        began, earlier = time.perf_counter(), threads.taken(worker, known)
        spy.record(worker, seconds, python)
        wall, later = time.perf_counter() - began, threads.taken(worker, known)
        for one in threads.between(earlier, later, 1, {}):
            most[one.name] = one.cpu / 1e6 / wall * seconds * spy.RATE

    _beside(lambda: _loaded(service, stream, seconds + 1.5), sample)
    _beside(lambda: _loaded(service, stream, seconds + 3), lambda: spy.record(worker, seconds + 1, native, native=True))
    probe.track()
    followed = _loaded(service, stream, min(seconds, 2.0))
    found = heap.read(probe.rest(), followed)
    sampled = spy.stacks(native)
    told = threads.between(before, after, operations, threads.states(sampled))
    stacks = awake(spy.stacks(python), most)
    return Looks(
        operations / seconds,
        sum(one.cpu for one in told),
        floor,
        told,
        stacks,
        weighted(stacks, {one.name: one.cpu for one in told}),
        sampled,
        found,
        probe.close(),
    )


def _loaded(service: Service, stream: Stream, seconds: float) -> int:
    """How many operations were answered in the time.

    :raises RuntimeError: none was.
    """
    seen = generate(service.address, [stream], seconds=seconds, warmup=0.0, connect=service.transport.connect).seen
    answered = sum(map(len, seen[stream.name].latencies.values()))
    if not answered:
        raise RuntimeError(f"the service answered nothing: {dict(seen[stream.name].statuses)}")
    return answered * stream.items


def _beside(load: Callable[[], object], look: Callable[[], None]) -> None:
    """Look while it is loaded; what the look raises is raised."""
    failed: list[BaseException] = []

    def guarded() -> None:
        try:
            look()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    load()
    thread.join()
    if failed:
        raise failed[0]


def _measures(looks: Looks) -> Iterator[Measure]:
    yield Measure("floor", "", (round(looks.floor, 3),))
    yield Measure("rate", "", (round(looks.rate, 1),))
    yield Measure("cpu", "", (round(looks.cpu, 2),))
    for of, cost in by_part(looks.weighed).items():
        yield Measure("cpu", of, (round(cost, 2),))


def _write(stem: Path, title: str, looks: Looks) -> list[Path]:
    """Drawings and collapsed stacks beside the record."""
    written = []
    for kind, stacks, drawn in (("", looks.stacks, looks.weighed), (".native", looks.native, looks.native)):
        for suffix, text in ((".svg", standalone(drawn, title)), (".collapsed.txt", spy.collapsed(stacks))):
            path = stem.with_name(stem.name + kind + suffix)
            path.write_text(text)
            written.append(path)
        written.append(stem.with_name(f"{stem.name}{kind}.speedscope.json"))
    return written
