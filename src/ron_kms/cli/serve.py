"""``ron-kms serve``: its options are the table of settings."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from ron_kms.cli.options import add_all_settings
from ron_kms.config import Loaded, load


@click.command(
    epilog="A flag goes before its environment name, that before the TOML file, and that before the default."
)
def serve(**flags: Any) -> None:
    """Run the service: one supervisor, its workers, and the operator's port."""

    def read() -> Loaded:
        return load(flags, os.environ)

    # A reload that is wanted from here on waits until the service is up.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    loaded = read()
    from ron_kms.server.supervisor import run  # noqa: PLC0415 - so that --help and faults load no server

    sys.exit(run(loaded, read))


add_all_settings(serve)
