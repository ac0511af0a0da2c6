"""``python -m perf.soak``: load a service of its own for minutes, say what held, keep the record."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from perf.load.commands.options import keep, record_options, service_options, setup
from perf.load.service import serving
from perf.record import Role, begin
from perf.soak.figures import to_record
from perf.soak.judge import judge
from perf.soak.ledger import held
from perf.soak.mix import BATCH, streams
from perf.soak.run import soak

OPERATIONS = 20_000
RATE = 2_800.0
SLICES = 60
_LEAST_SECONDS = 0.25
"""Of a slice."""


@click.command()
@click.option("--operations", type=click.IntRange(100), default=OPERATIONS, show_default=True, help="At least so many.")
@click.option("--rate", type=click.FloatRange(1), default=RATE, show_default=True, help="Operations a second.")
@service_options
@record_options
def main(operations: int, rate: float, role: Role, out: Path | None, **service: Any) -> None:
    """Mixed operations on a running service: does anything grow, and is all of it in the audit log?

    A million takes 6 minutes at the rate given. The exit code is 1 where something did not hold.
    """
    ready = setup(**service)
    slices = max(1, min(SLICES, int(operations / rate / _LEAST_SECONDS)))
    begun = begin("soak", "mixed", role, ready.setting | {"operations": operations, "rate": rate, "batch": BATCH})
    with serving(ready.cores, ready.place, **ready.settings) as running:
        asked = streams(running, rate)
        soaked = soak(running, asked, operations, rate, slices, lambda text: click.echo(text, err=True))
        running.process.terminate()
        running.process.wait(60)
        log = held(running.data_dir, soaked.since)
    checks = list(judge(soaked, log, BATCH))
    command = shlex.join(["python", "-m", "perf.soak", *sys.argv[1:]])
    made = to_record(begun, soaked, asked, log, checks, command)
    for check in checks:
        click.echo(f"{'held  ' if check.held else 'BROKEN'}  {check.statement}\n        {check.seen}")
    keep(made, out)
    if not all(check.held for check in checks):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
