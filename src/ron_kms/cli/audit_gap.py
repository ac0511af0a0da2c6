"""``ron-kms audit accept-gap``: the way on for a log that fails its check."""

from __future__ import annotations

from typing import Any

import click

from ron_kms.cli.offline import settings_of, unlocked, with_settings


@click.command("accept-gap")
@with_settings("data_dir", "store_url", "seal", "passphrase_file", "node")
def accept_gap(**flags: Any) -> None:
    """Go on without the logs that fail their check; the service must be stopped.

    Their files stay as they are, for whoever finds out what has happened. Other logs begin at the next start, and have
    a record of this with the size and the root that each closed one had had.
    """
    settings = settings_of(flags)
    with unlocked(settings) as (_, store):
        from ron_kms.server.audit import standing_of  # noqa: PLC0415 - so that --help loads no server

        accepted = standing_of(store, settings).accept_gap()
    if not accepted:
        click.echo("every log is whole as far as a start looks: there is nothing to accept")
    for log in accepted:
        click.echo(f"closed: {log.cause}")
