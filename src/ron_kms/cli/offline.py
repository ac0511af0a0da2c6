"""What commands that work on the data folder share: their settings, read as ``serve`` reads them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ron_kms.config import CONFIG_ENV, DEFINITIONS, Settings, load

F = TypeVar("F", bound=Callable[..., Any])

CONFIG = "config"


def with_settings(*names: str) -> Callable[[F], F]:
    """Give a command the options of these settings and ``--config``; :func:`settings_of` reads them."""

    def decorate(command: F) -> F:
        for row in reversed([row for row in DEFINITIONS if row.name in names]):
            command = click.option(
                row.flag, row.name, metavar=row.knob.kind.metavar, help=f"{row.knob.help} [{row.env}]"
            )(command)
        return click.option(f"--{CONFIG}", metavar="PATH", help=f"TOML file with settings. [{CONFIG_ENV}]")(command)

    return decorate


def settings_of(flags: dict[str, Any]) -> Settings:
    """:raises ConfigurationError: with all faults at once."""
    return load(flags, os.environ).settings
