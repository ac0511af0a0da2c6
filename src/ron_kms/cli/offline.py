"""What commands that work on the data folder share: their settings, read as ``serve`` reads them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ron_kms import _core
from ron_kms.config import CONFIG_ENV, DEFINITIONS, Settings, load
from ron_kms.errors import ConfigurationError

if TYPE_CHECKING:
    from ron_kms.server.data_dir import DataDirectory
    from ron_kms.store.bootstrap import Store

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
    """:raises ConfigurationError: with all faults at once; or there is nothing to work on."""
    settings = load(flags, os.environ).settings
    if settings.amnesia:
        raise ConfigurationError("amnesia is set, and a service in amnesia leaves nothing that this could work on")
    return settings


@contextmanager
def locked(settings: Settings) -> Iterator[DataDirectory]:
    """The data folder of a service that is stopped, in a process that is hardened as the service's are.

    :raises ConfigurationError: there is no store, the service runs, or the system refuses to protect this process.
    """
    from ron_kms.server.data_dir import DataDirectory  # noqa: PLC0415 - so that --help loads no server
    from ron_kms.store.sqlite import database_path  # noqa: PLC0415

    path = database_path(settings.store_url)
    if not path.is_file():
        raise ConfigurationError(f"there is no store at {path}", hint="Name the data folder or the store's URL.")
    try:
        _core.harden_process(dumpable=settings.debug_dumpable)
    except _core.CoreError as error:
        raise ConfigurationError(f"the system refuses to protect this process: {error}") from None
    with DataDirectory(settings.data_dir) as directory:
        yield directory


@contextmanager
def unlocked(settings: Settings) -> Iterator[tuple[DataDirectory, Store]]:
    """The data folder of a service that is stopped, and its store, opened."""
    with locked(settings) as directory:
        from ron_kms.store.bootstrap import open_store  # noqa: PLC0415

        store = open_store(settings.store_url, settings.seal, settings.passphrase_file)
        try:
            yield directory, store
        finally:
            store.close()
