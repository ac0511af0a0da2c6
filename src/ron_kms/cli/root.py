"""``ron-kms root``: the root key, under which everything is sealed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ron_kms.cli.offline import locked, settings_of, with_settings


@click.group()
def root() -> None:
    """The root key: see which it is, take a new one, or another seal."""


@root.command()
@with_settings("data_dir", "store_url", "seal")
def show(**flags: Any) -> None:
    """Tell which root key the store is sealed with, and which one the seal holds; no secret is shown or asked for."""
    from ron_kms.root.seals import parse_seal  # noqa: PLC0415 - so that --help loads no SQL
    from ron_kms.store.rotation import root_of  # noqa: PLC0415

    settings = settings_of(flags)
    named, place = root_of(settings.store_url), parse_seal(settings.seal)
    click.echo(f"the store is sealed with root key {named.root_id} (seal: {named.seal})")
    held = place.identify()
    click.echo(f"the {place} is missing" if held is None else f"the {place} holds root key {held}")


@root.command()
@click.option("--seal", "new_seal", metavar="SEAL", help="Where the new root key is to rest; default: where it does.")
@click.option(
    "--new-passphrase-file",
    metavar="PATH",
    help="Where a new passphrase is read; default: the terminal.",
)
@with_settings("data_dir", "store_url", "passphrase_file")
def rotate(new_seal: str | None, new_passphrase_file: str | None, **flags: Any) -> None:
    """Make a new root key, in its place or under another seal; the service must be stopped.

    Where the root key rests so far is KMS_SEAL's to say, and its passphrase KMS_PASSPHRASE_FILE's. The old root key
    still opens backups made under it, so it is kept; destroy it once they are gone.
    """
    from ron_kms.root.seals import parse_seal  # noqa: PLC0415 - so that --help loads no SQL
    from ron_kms.store.rotation import rotate_root  # noqa: PLC0415

    settings = settings_of(flags)
    current = parse_seal(settings.seal, settings.passphrase_file)
    target = parse_seal(new_seal or settings.seal, Path(new_passphrase_file) if new_passphrase_file else None)
    with locked(settings):
        rotated = rotate_root(settings.store_url, current, target, _note)
    click.echo(f"the store is now sealed with root key {rotated.after} in the {target}")
    click.echo(f"root key {rotated.before} is kept in {rotated.kept} for backups made under it")
    if (target.name, target.path) != (current.name, current.path):
        click.echo(f"from now on: KMS_SEAL={target.name}:{target.path}")


def _note(connection: Any, rows: Any, before: str, after: str) -> None:
    from ron_kms.audit.offline import note  # noqa: PLC0415 - so that --help loads no SQL

    note(connection, rows, "rotate-root", f"{before} to {after}")
