"""``python -m perf.load run``: one mix, in rounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from perf import record
from perf.load.commands.options import command_line, keep, record_options, service_options, setup
from perf.load.figures import to_record
from perf.load.mixes import MIXES, SUITES, Load, prepare
from perf.load.rounds import take, target_of
from perf.load.service import serving
from perf.load.table import table

SECONDS = 10.0
ROUNDS = 10
INTERVAL = 6.0
INTERVALS = 3


def _mixes() -> str:
    return "\b\n" + "\n".join(f"{name:13} {kind.meaning}" for name, kind in MIXES.items())


@click.command(help=f"Load a service of its own with a mix.\n\n{_mixes()}")
@click.option("--mix", "name", type=click.Choice(list(MIXES)), required=True)
@click.option("--suite", type=click.Choice(list(SUITES)), default="classical", show_default=True, help="Of the keys.")
@click.option("--duration", type=float, help=f"Seconds that are measured; by default {SECONDS:g}, or some intervals.")
@click.option("--rounds", type=int, help=f"Into how many the duration is cut; by default {ROUNDS}, or its intervals.")
@click.option("--interval", type=float, help="Seconds from one burst or flood to the next; by default 6.")
@click.option("--burst-mult", default=10.0, show_default=True, help="A burst's rate by the target.")
@click.option("--rotate-rate", default=5.0, show_default=True, help="Rotations a second; ten times that in a flood.")
@click.option("--rate", type=float, help="The target, operations a second; by default what a calibration reaches.")
@click.option("--share", type=float, help="Steady rate by the target; by default 0.8, beside bursts and floods 0.5.")
@click.option("--connections", "-c", default=8, show_default=True, help="Of each kind of client.")
@click.option("--depth", "-m", default=8, show_default=True, help="Requests under way on a connection, at most.")
@click.option("--batch", default=256, show_default=True, help="Items in a batch.")
@service_options
@record_options
def run(
    name: str,
    suite: str,
    duration: float | None,
    rounds: int | None,
    interval: float | None,
    burst_mult: float,
    rotate_rate: float,
    rate: float | None,
    share: float | None,
    connections: int,
    depth: int,
    batch: int,
    role: record.Role,
    out: Path | None,
    **service: Any,
) -> None:
    """Run one mix."""
    ready = setup(**service)
    seconds, count = lengths(name, duration, rounds, interval)
    load = Load(SUITES[suite], connections, depth, seconds, batch, share, burst_mult, rotate_rate)
    setting = ready.setting | {"suite": suite, "connections": connections, "depth": depth} | dict(_special(name, load))
    begun, origin = record.begin("load", name, role, setting), time.perf_counter()
    with serving(ready.cores, ready.place, **ready.settings) as running:
        mix = prepare(name, running, load)
        target = target_of(running, mix, rate)
        taken = [take(running, mix.streams(target), seconds, origin) for _ in range(count)]
    made = to_record(begun, taken, command_line(), target if mix.closed else None)
    click.echo(table(made))
    keep(made, out)


def lengths(name: str, duration: float | None, rounds: int | None, interval: float | None) -> tuple[float, int]:
    """Seconds of a round, and how many."""
    if MIXES[name].periodic:
        seconds = interval or (duration / rounds if duration and rounds else INTERVAL)
        count = rounds or (max(1, round(duration / seconds)) if duration else 1 if interval else INTERVALS)
        return seconds, count
    count = rounds or ROUNDS
    return (duration or SECONDS) / count, count


def _special(name: str, load: Load) -> Iterator[tuple[str, record.Value]]:
    """What changes this mix's figures, and no other's."""
    if load.share is not None:
        yield "share", load.share
    if name == "batch":
        yield "batch", load.batch
    if name == "burst":
        yield "burst_mult", load.burst_mult
    if name == "rotate":
        yield "rotate_rate", load.rotate_rate
