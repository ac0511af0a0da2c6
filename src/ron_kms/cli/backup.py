"""``ron-kms backup``: a copy of the store, while it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ron_kms.cli.offline import settings_of, with_settings


@click.command()
@click.option("--to", "folder", metavar="DIR", required=True, help="A folder that is not there yet.")
@with_settings("data_dir", "store_url")
def backup(folder: str, **flags: Any) -> None:
    """Copy the store and the audit logs into a new folder, with a manifest; the service may run meanwhile.

    The root key is not in it, and without the root key the backup opens nothing: keep a copy of the root key elsewhere.
    """
    from ron_kms.server.audit import copying_of  # noqa: PLC0415
    from ron_kms.store.backup import back_up  # noqa: PLC0415 - so that --help loads no SQL

    settings = settings_of(flags)
    manifest = back_up(settings.store_url, Path(folder), copying_of(settings))
    click.echo(
        f"backed up to {Path(folder).absolute()}: {manifest.changes} changes,"
        f" {sum(file.bytes for file in manifest.files)} bytes, opened by root key {manifest.root_id}"
    )
