"""``python -m perf.load``: start a service on one core, load it from the other, print the figures, leave a record."""

from __future__ import annotations

import click

from perf.load.commands.mix import run


@click.group(help="A running service under load.")
def main() -> None:
    """Nothing by itself."""


main.add_command(run)

if __name__ == "__main__":
    main()
