"""``python -m perf.load SCENARIO``: start a service on one core, load it from the other, print the figures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click

from perf.load.figures import of_run
from perf.load.generator import run
from perf.load.scenarios import SCENARIOS, SETTLE_SECONDS, Load, names, plan
from perf.load.service import Watch, serving


def _scenarios() -> str:
    return "\b\n" + "\n".join(f"{name:13} {text}" for name, (_, text) in SCENARIOS.items())


@click.command(help=f"Load a service of its own.\n\n{_scenarios()}")
@click.argument("scenario", type=click.Choice(names()))
@click.option("--server", default="hypercorn", help="KMS_SERVER: hypercorn or granian.")
@click.option("--suite", help="Of the keys; by default ed25519, to wrap x25519+ml-kem-768.")
@click.option("--seconds", default=5.0, show_default=True, help="The window that is measured.")
@click.option("--rate", default=500.0, show_default=True, help="Requests a second of all clients, for open loops.")
@click.option("--connections", "-c", default=8, show_default=True, help="Of each kind of client.")
@click.option("--depth", "-m", default=8, show_default=True, help="Requests under way on a connection, at most.")
@click.option("--batch", default=256, show_default=True, help="Items in a batch.")
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A KMS_* setting, such as max_wait_ms=0.")
@click.option("--workers", default=1, show_default=True, help="Workers, each on a core of its own.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Where the figures go, too.")
def main(
    scenario: str,
    server: str,
    suite: str | None,
    seconds: float,
    rate: float,
    connections: int,
    depth: int,
    batch: int,
    settings: tuple[str, ...],
    workers: int,
    out: Path | None,
) -> None:
    """Run one scenario."""
    cores = sorted(os.sched_getaffinity(0))
    given = dict(text.split("=", 1) for text in settings)
    if server != "hypercorn":
        given["server"] = server
    os.sched_setaffinity(0, set(cores[workers:]) or {cores[-1]})
    load = Load(suite, rate, connections, depth, seconds, batch)
    with serving(cores[:workers], **given) as service:
        planned = plan(scenario, service, load)
        with Watch(service) as watch:
            outcome = run(service.address, planned.streams, seconds=seconds, warmup=SETTLE_SECONDS)
    described = {"server": server, **load._asdict(), **given, "workers": workers}
    figures = of_run(scenario, outcome, watch.usage, described, planned.items)
    click.echo(table(figures))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=2) + "\n")


def table(figures: dict[str, Any]) -> str:
    """A line for each kind of client."""
    usage, settings = figures["usage"], figures["settings"]
    lines = [
        f"{figures['name']}: {settings['server']}, {settings['suite'] or 'its suites'}, {figures['seconds']:g} s",
        f"workers' CPU {usage['workers_cpu']:.1f} s, resident {usage['worker_resident'] >> 20} MiB at most a worker",
        f"generator {figures['generator_busy']:.0%} busy",
        f"{'client':10} {'ops/s':>9} {'p50 ms':>8} {'p95':>8} {'p99':>8} {'max':>8}  statuses",
    ]
    for name, one in figures["streams"].items():
        ms = one["latency_ms"]
        lines.append(
            f"{name:10} {one['operations_per_second']:9,.0f} {ms['p50']:8.2f} {ms['p95']:8.2f} {ms['p99']:8.2f}"
            f" {ms['max']:8.2f}  {one['statuses']}" + (f" unsent {one['unsent']}" if one["unsent"] else "")
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
