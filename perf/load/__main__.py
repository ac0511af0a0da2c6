"""``python -m perf.load``: start a service on one core, load it from the other, print the figures, leave a record."""

from __future__ import annotations

import click

from perf.load.commands.deltas import deltas
from perf.load.commands.latency import latency
from perf.load.commands.mix import run
from perf.load.commands.show import show
from perf.load.commands.trivial import trivial


@click.group(help="A running service under load.")
def main() -> None:
    """Nothing by itself."""


for command in (run, latency, deltas, trivial, show):
    main.add_command(command)

if __name__ == "__main__":
    main()
