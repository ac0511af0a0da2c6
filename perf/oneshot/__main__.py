"""``python -m perf.oneshot``: time what happens once, print it, leave records."""

from __future__ import annotations

import os
import shlex
import statistics
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import click
import msgspec

from perf import record
from perf.load.service import serving
from perf.oneshot import starts
from perf.oneshot.shots import Missing, commands, fill, timed
from perf.record import Measure, Record, Value

SERVERS = ("granian", "hypercorn")
RUNS, STARTS = 20, 5


@click.command()
@click.option("--runs", default=RUNS, show_default=True, help="Of each command.")
@click.option("--starts", "times", default=STARTS, show_default=True, help="Of each server; each takes seconds.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=record.RESULTS, help="Folder.")
def main(runs: int, times: int, out: Path) -> None:
    """Commands and first calls by hyperfine, starts by the clock: one record without a server, one for each."""
    core = min(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="ron-kms-once-") as folder:
        try:
            begun = record.begin("oneshot", "commands", "result", {})
            kid = fill(Path(folder))
            _keep(begun, timed(commands(Path(folder), kid), runs), out)
            for server in SERVERS:
                _keep(*_service(server, core, runs, times, Path(folder)), out)
        except Missing as error:
            click.echo(str(error), err=True)
            raise SystemExit(2) from None


def _service(server: str, core: int, runs: int, times: int, folder: Path) -> tuple[Record, dict[str, list[float]]]:
    setting: dict[str, Value] = {"server": server, "transport": "http2", "profile": "file"}
    begun = record.begin("oneshot", "service", "result", setting)
    found = {f"{server}, start to ready": [round(starts.ready(server, core), 1) for _ in range(times)]}
    with serving([core], server=server) as service:
        calls = {f"{server}, {name}": shot for name, shot in starts.calls(service, folder).items()}
        return begun, found | timed(calls, runs)


def _keep(begun: Record, found: Mapping[str, list[float]], out: Path) -> None:
    made = msgspec.structs.replace(
        begun,
        seconds=round(sum(map(sum, found.values())) / 1e3, 3),
        measures=tuple(Measure("once", name, tuple(values)) for name, values in found.items()),
        detail={"command": shlex.join(["python", "-m", "perf.oneshot", *sys.argv[1:]])},
    )
    for name, values in found.items():
        click.echo(f"{name:40} {statistics.median(values):9.1f} ms, {min(values):.1f} to {max(values):.1f}")
    path = out / record.file_name(made)
    record.save(made, path)
    click.echo(f"written: {os.path.relpath(path)}", err=True)


if __name__ == "__main__":
    main()
