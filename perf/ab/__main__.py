"""``python -m perf.ab --baseline COMMIT``: has this tree become slower than that commit?"""

from __future__ import annotations

import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click

from perf import record
from perf.ab.sides import measure, sides
from perf.ab.tree import NoTree, tree
from perf.drift.command import CANNOT, PASSED
from perf.drift.files import CannotJudge
from perf.load.commands.options import service_options, setup
from perf.load.mixes import MIXES, SUITES, Load

FOLDER = record.RESULTS / "ab"
"""A folder of its own, for a baseline here is for its own result only."""


@click.command(help="Load a commit and this tree in turns, and judge the difference by the gates.")
@click.option("--baseline", "commit", required=True, metavar="COMMIT", help="What this tree is compared with.")
@click.option(
    "--mix", "mixes", type=click.Choice(list(MIXES)), multiple=True, default=["sign", "verify"], show_default=True
)
@click.option("--suite", type=click.Choice(list(SUITES)), default="classical", show_default=True, help="Of the keys.")
@click.option("--seconds", default=0.8, show_default=True, help="Of a round.")
@click.option("--rounds", default=20, show_default=True, help="Of each side, at least.")
@click.option("--minutes", default=3.0, show_default=True, help="For a mix whose rounds are too noisy, at most.")
@click.option("--share", default=0.5, show_default=True, help="Of what the slower one can do: the rate of open loops.")
@click.option("--connections", "-c", default=8, show_default=True, help="Of each kind of client.")
@click.option("--depth", "-m", default=8, show_default=True, help="Requests under way on a connection, at most.")
@click.option("--results", type=click.Path(path_type=Path), default=FOLDER, help="Where the records go.")
@service_options
def main(
    commit: str,
    mixes: tuple[str, ...],
    suite: str,
    seconds: float,
    rounds: int,
    minutes: float,
    share: float,
    connections: int,
    depth: int,
    results: Path,
    **service: Any,
) -> None:
    """Judge each mix; the worst outcome is the exit code."""
    ready = setup(**service)
    setting = ready.setting | {"suite": suite, "connections": connections, "depth": depth, "share": share}
    load = Load(SUITES[suite], connections, depth, seconds, share=share)
    command = shlex.join(["python", "-m", "perf.ab", *sys.argv[1:]])
    codes = []
    try:
        with tree(commit) as path:
            for name in mixes:
                with sides(path, name, load, ready, setting) as both:
                    until = time.monotonic() + minutes * 60
                    found = measure(both, seconds, rounds, until, command, _told)
                click.echo("\n".join(found.verdict.lines))
                for one in (found.baseline, found.result):
                    kept = results / f"{one.role}-{record.file_name(one)}"
                    record.save(one, kept)
                    click.echo(f"written: {os.path.relpath(kept)}", err=True)
                codes.append(found.verdict.code)
    except (NoTree, CannotJudge) as reason:
        click.echo(f"cannot judge: {reason}", err=True)
        sys.exit(CANNOT)
    sys.exit(min((code for code in codes if code != PASSED), default=PASSED))


def _told(rounds: int) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r{rounds} rounds", err=True, nl=False)


if __name__ == "__main__":
    main()
