"""``ron-kms version``: what runs here."""

from __future__ import annotations

import click


@click.command()
def version() -> None:
    """Tell the versions of ron-kms and of what it is built on."""
    from ron_kms.server.operator import versions  # noqa: PLC0415 - so that --help loads no server

    for name, number in versions().items():
        click.echo(f"{name} {number}")
