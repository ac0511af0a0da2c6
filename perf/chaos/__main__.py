"""``python -m perf.chaos [DRILL...]``: harm a service of its own, and say which statements held."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path

import click

from perf import record
from perf.chaos.drill import Check, Drill, NotHere, Trial
from perf.chaos.drills import DRILLS, NOT_YET
from perf.chaos.mounts import privately
from perf.chaos.outcome import table
from perf.record import Measure, Record

SECONDS = 8.0


def _listing() -> str:
    lines = []
    for drill in DRILLS.values():
        lines += [f"{drill.name}: {drill.what}", *(f"    {text}" for text in drill.holds.values())]
    return "\n".join([*lines, *(f"{name}: not yet: {text}" for name, text in NOT_YET.items())])


@click.command()
@click.argument("names", metavar="[DRILL...]", nargs=-1)
@click.option("--server", default="hypercorn", show_default=True, help="KMS_SERVER: hypercorn or granian.")
@click.option("--seconds", default=SECONDS, show_default=True, help="About how long a harm lasts.")
@click.option("--list", "listing", is_flag=True, help="Print the drills and what must hold, and end.")
@click.option("--outcome", is_flag=True, help="Print the newest outcomes as a table, and end.")
@click.option("--json", "out", type=click.Path(path_type=Path), help="Folder of the records; perf/results by default.")
def main(names: tuple[str, ...], server: str, seconds: float, listing: bool, outcome: bool, out: Path | None) -> None:
    """Harm a running service, and check what must hold. Without names, all drills.

    The exit code is 1 where a statement was broken, 2 where a drill is not there.
    """
    if listing:
        click.echo(_listing())
        return
    if outcome:
        click.echo(table(DRILLS, out or record.RESULTS))
        return
    for name in names:
        if name in NOT_YET:
            raise click.UsageError(f"{name}: not yet: {NOT_YET[name]}")
        if name not in DRILLS:
            raise click.UsageError(f"there is no drill {name}; --list tells which there are")
    privately()
    broken = [name for name in names or DRILLS if not run_drill(DRILLS[name], server, seconds, out or record.RESULTS)]
    if broken:
        click.echo(f"broken: {', '.join(broken)}")
        sys.exit(1)


def run_drill(drill: Drill, server: str, seconds: float, out: Path) -> bool:
    """Whether nothing was broken; a drill that this machine cannot do breaks nothing, and says so."""
    trial = Trial(drill, server, seconds)
    machine, at, began = record.host(), record.now(), time.monotonic()
    click.echo(f"{drill.name} ({server}): {drill.what}")
    fault = ""
    try:
        drill.run(trial)
    except NotHere as error:
        click.echo(f"  not here: {error}")
        return True
    except Exception as error:  # noqa: BLE001 - whatever ends a drill, its other statements are told
        traceback.print_exc()
        fault = f"{type(error).__name__}: {error}"
    checks = trial.checks()
    for check in checks:
        click.echo(f"  {'held  ' if check.held else 'BROKEN'}  {check.statement}\n          {check.seen}")
    took = time.monotonic() - began
    held = all(check.held for check in checks) and not fault
    click.echo(f"  {sum(check.held for check in checks)} of {len(checks)} held, {took:.0f} s")
    made = _record(trial, checks, fault, at, took, machine)
    record.save(made, out / record.file_name(made))
    return held


def _record(trial: Trial, checks: list[Check], fault: str, at: str, took: float, machine: record.Host) -> Record:
    measures: tuple[Measure, ...] = tuple(trial.measures)
    return Record(
        role="result",
        suite="chaos",
        name=trial.drill.name,
        run=at,
        at=at,
        seconds=round(took, 1),
        setting={"server": trial.server, "seconds": trial.seconds},
        host=machine,
        code=record.code(),
        measures=measures,
        detail={"what": trial.drill.what, "checks": [check._asdict() for check in checks], "fault": fault},
    )


if __name__ == "__main__":
    main()
