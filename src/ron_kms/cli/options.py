"""The settings as options of commands."""

from __future__ import annotations

import click

from ron_kms.config import CONFIG_ENV, DEFINITIONS

CONFIG = "config"


def add_all_settings(command: click.Command) -> None:
    """Give a command an option for each setting, and ``--config``; their values are what ``load`` takes as flags."""
    command.params.append(
        click.Option(
            [f"--{CONFIG}"], metavar="PATH", help=f"TOML file with settings, named as the flags are. [{CONFIG_ENV}]"
        )
    )
    for row in DEFINITIONS:
        command.params.append(
            click.Option(
                [row.flag, row.name],
                is_flag=row.switch,
                default=None,
                metavar=None if row.switch else row.knob.kind.metavar,
                help=f"{row.knob.help} [{row.env}; default: {row.default}]",
            )
        )
