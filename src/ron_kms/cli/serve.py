"""``ron-kms serve``: its options are the table of settings."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from ron_kms.config import CONFIG_ENV, DEFINITIONS, Loaded, load


@click.command(
    epilog="A flag goes before its environment name, that before the TOML file, and that before the default."
)
@click.option("--config", metavar="PATH", help=f"TOML file with settings, named as the flags are. [{CONFIG_ENV}]")
def serve(**flags: Any) -> None:
    """Run the service: one supervisor, its workers, and the operator's port."""

    def read() -> Loaded:
        return load(flags, os.environ)

    loaded = read()
    from ron_kms.server.supervisor import run  # noqa: PLC0415 - so that --help and faults load no server

    sys.exit(run(loaded, read))


for row in DEFINITIONS:
    serve.params.append(
        click.Option(
            [row.flag, row.name],
            is_flag=row.switch,
            default=None,
            metavar=None if row.switch else row.knob.kind.metavar,
            help=f"{row.knob.help} [{row.env}; default: {row.default}]",
        )
    )
