"""``python -m perf.load trivial``: ours beside an application that only signs, on each server, by two generators."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from perf import record
from perf.floor import signature_us
from perf.load import h2load
from perf.load.commands.options import SERVERS as OURS
from perf.load.commands.options import both_options, command_line, keep, record_options, setup
from perf.load.generator import Stream, run
from perf.load.scenarios import sign_requests
from perf.load.service import Place, serving
from perf.load.trivial import SERVERS, SUITE
from perf.load.trivial import running as trivially
from perf.load.usage import processor_seconds
from perf.load.wire import Request
from perf.record import Measure

TARGET = 0.85
"""Of the trivial application's rate on the same server, that ours has on Hypercorn."""


@dataclass
class Served:
    """One application on one server.

    :ivar name: such as ``trivial on granian``.
    :ivar pids: of the processes that serve.
    :ivar rates: requests a second by h2load, a round each; ``own``: by the generator of perf/load.
    :ivar cpu: microseconds of processor time a request, by h2load.
    :ivar bad: requests that failed.
    :ivar busy: of the generator of perf/load.
    """

    name: str
    address: tuple[str, int]
    pids: Sequence[int]
    request: Request
    headers: Mapping[str, str]
    rates: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    bad: int = 0
    busy: float = 0.0

    def round(self, seconds: float, connections: int, depth: int) -> None:
        """One by each generator."""
        began = self._spent()
        counted = h2load.run(
            self.address,
            self.request.path,
            self.headers,
            self.request.content,
            connections=connections,
            depth=depth,
            seconds=seconds,
        )
        self.cpu.append((self._spent() - began) * 1e6 / max(1, counted.done))
        self.rates.append(counted.rate)
        self.bad += counted.bad
        stream = Stream("all", [self.request], None, connections, depth)
        outcome = run(self.address, [stream], seconds=seconds, warmup=seconds / 4)
        self.own.append(sum(map(len, outcome.seen["all"].latencies.values())) / outcome.window)
        self.busy = max(self.busy, outcome.busy)

    def _spent(self) -> float:
        return sum(map(processor_seconds, self.pids))


@click.command()
@click.option("--rounds", default=5, show_default=True)
@click.option(
    "--duration", default=5.0, show_default=True, help="Seconds of h2load for each; a second a round, or more."
)
@click.option("--connections", "-c", default=8, show_default=True)
@click.option("--depth", "-m", default=8, show_default=True, help="Requests under way on a connection.")
@both_options
@record_options
def trivial(
    rounds: int, duration: float, connections: int, depth: int, role: record.Role, out: Path | None, **service: Any
) -> None:
    """Single Ed25519 signs as fast as they go, by h2load and by our generator in turns: ours on Hypercorn and on
    Granian, and an application that only signs on both and on Hypercorn without our guards. All are on one core, and
    rest while another is loaded.
    """
    ready = setup(**service)
    setting = ready.setting | {"connections": connections, "depth": depth}
    begun = record.begin("load", "trivial", role, setting)
    floors: list[float] = []
    began = time.perf_counter()
    with ExitStack() as stack:
        served = list(_serve(stack.enter_context, ready.cores, ready.place, ready.settings))
        for number in range(rounds):
            floors.append(signature_us(ready.cores))
            for place in range(len(served)):
                served[(place + number) % len(served)].round(duration / rounds, connections, depth)
    made = msgspec.structs.replace(
        begun,
        seconds=round(time.perf_counter() - began, 1),
        measures=tuple(_measures(served, floors)),
        detail={"command": command_line(), "busy": {one.name: round(one.busy, 3) for one in served}},
    )
    click.echo(table(made))
    keep(made, out)


def _serve(
    enter: Callable[[Any], Any], cores: Sequence[int], place: Place, settings: Mapping[str, str]
) -> Iterator[Served]:
    for server in OURS:
        running = enter(serving(cores, place, **settings, server=server))
        tenant = running.tenant("a")
        request = sign_requests(running, tenant, SUITE)[0]
        headers = {"authorization": f"Bearer {tenant.token}", "content-type": "application/json"}
        yield Served(f"ours on {server}", running.address, running.workers(), request, headers)
    for server in SERVERS:
        bare = enter(trivially(server, cores))
        yield Served(f"trivial on {server}", bare.address, [bare.process.pid], request, headers)


def _measures(served: Sequence[Served], floors: Sequence[float]) -> Iterator[Measure]:
    yield Measure("floor", "", tuple(floors))
    for one in served:
        of = f"sign {SUITE}, {one.name}"
        yield Measure("rate", of, tuple(one.rates))
        yield Measure("cpu", of, tuple(one.cpu))
        yield Measure("rate", f"{of}, our generator", tuple(one.own))
        yield Measure("errors", of, (one.bad / max(1.0, sum(one.rates)),))


def table(made: record.Record) -> str:
    """Rates of single Ed25519 signs, and what ours reach of the trivial one's."""
    found = {(one.kind, one.of): one.rounds for one in made.measures}
    names = [*(f"ours on {server}" for server in OURS), *(f"trivial on {server}" for server in SERVERS)]
    setting = " ".join(f"{name}={value}" for name, value in made.setting.items())
    lines = [
        f"{setting}; medians of {len(found['floor', ''])} rounds in turns; load {made.host.load:g} before",
        f"{'':22} {'h2load: 1/s':>12} {'cpu us':>7} {'perf.load: 1/s':>15} {'of h2load':>9} {'busy':>5}",
    ]
    for name in names:
        of = f"sign {SUITE}, {name}"
        rates, own = found["rate", of], found["rate", f"{of}, our generator"]
        lines.append(
            f"{name:22} {statistics.median(rates):12,.0f} {statistics.median(found['cpu', of]):7.1f}"
            f" {statistics.median(own):15,.0f} {_by(own, rates):9.2f} {made.detail['busy'][name]:5.0%}"
        )
    lines += ["", f"{'ours by the trivial one':40} {'rate':>5} {'processor time':>15}"]
    for ours, bare in (("hypercorn", "stock"), ("hypercorn", "hypercorn"), ("granian", "granian")):
        one, other = f"sign {SUITE}, ours on {ours}", f"sign {SUITE}, trivial on {bare}"
        rate, spent = _by(found["rate", one], found["rate", other]), _by(found["cpu", one], found["cpu", other])
        asked = f"  {TARGET}: {'met' if rate >= TARGET else 'missed'}" if ours == "hypercorn" else ""
        lines.append(f"{f'on {ours} by trivial on {bare}':40} {rate:5.2f} {spent:15.2f}{asked}")
    return "\n".join(lines)


def _by(some: Sequence[float], others: Sequence[float]) -> float:
    """Median of the rounds' ratios."""
    return statistics.median(one / other for one, other in zip(some, others, strict=True))
