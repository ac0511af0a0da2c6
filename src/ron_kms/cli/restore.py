"""``ron-kms restore``: what to do with a backup, and with a store that was put back from one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ron_kms.cli.offline import settings_of, unlocked, with_settings


@click.group()
def restore() -> None:
    """Check a backup, or accept a store that was put back from one."""


@restore.command()
@click.argument("folder", metavar="DIR")
def check(folder: str) -> None:
    """Compare a backup's files with its manifest."""
    from ron_kms.store.backup import check_backup  # noqa: PLC0415 - so that --help loads no SQL

    manifest = check_backup(Path(folder))
    click.echo(
        f"whole: made {manifest.made:%Y-%m-%d %H:%M:%S} UTC, {manifest.changes} changes, opened by root key"
        f" {manifest.root_id}"
    )


@restore.command()
@with_settings("data_dir", "store_url", "seal", "passphrase_file", "node")
def accept(**flags: Any) -> None:
    """Use an older copy of the store from now on; the service must be stopped.

    What was changed after the copy was made is lost: keys made since are gone, and what was disabled, destroyed or
    revoked since is as it was before. That it was accepted is recorded in the store, and in the audit log.
    """
    settings = settings_of(flags)
    with unlocked(settings) as (directory, store):
        from ron_kms.server.audit import standing_of  # noqa: PLC0415
        from ron_kms.server.high_water import Keeper  # noqa: PLC0415 - so that --help loads no server

        keeper = Keeper(store, directory, standing_of(store, settings))
        try:
            number = keeper.accept()
        finally:
            keeper.release()
    if number is None:
        click.echo("the store is not older than it was: there is nothing to accept")
    else:
        click.echo(f"accepted, and recorded as change {number}")
