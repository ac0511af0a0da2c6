"""``python -m perf.profiles``: load a service of its own, and look inside its worker meanwhile."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from perf import record
from perf.profiles.run import SCENARIOS, profile

SERVERS = ("granian", "hypercorn")
SECONDS = 4.0


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...", type=click.Choice(list(SCENARIOS)))
@click.option("--server", type=click.Choice([*SERVERS, "both"]), default="both", show_default=True)
@click.option("--seconds", default=SECONDS, show_default=True, help="Of each of the looks; there are four.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=record.RESULTS, help="Folder.")
def main(scenarios: tuple[str, ...], server: str, seconds: float, out: Path) -> None:
    """Profile one worker: sign-m1, sign-m8, batch, verify; by default all.

    Each leaves a record, a flame graph (SVG), collapsed stacks, and what speedscope.app opens, with Python's frames and
    with native ones.
    """
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, set(cores[1:]) or {cores[0]})
    out.mkdir(parents=True, exist_ok=True)
    command = shlex.join(["python", "-m", "perf.profiles", *sys.argv[1:]])
    for name in scenarios or SCENARIOS:
        for one in SERVERS if server == "both" else (server,):
            made = profile(name, one, cores[0], seconds, out, command)
            path = out / record.file_name(made)
            record.save(made, path)
            costs = ", ".join(f"{of.of} {of.rounds[0]:.1f}" for of in made.measures if of.kind == "cpu" and of.of)
            click.echo(f"{name} {one}: us an operation: {costs}")
            click.echo(f"written: {os.path.relpath(path)}", err=True)


if __name__ == "__main__":
    main()
