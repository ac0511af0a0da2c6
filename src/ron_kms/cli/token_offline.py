"""What ``ron-kms token`` does offline: a holder narrows a token or looks into it; an owner makes another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ron_kms.cli.offline import settings_of, unlocked, with_settings
from ron_kms.cli.token_file import expiry, give, read_token
from ron_kms.cli.token_text import describe_token
from ron_kms.config import TOKEN_ENV

_token_file = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    envvar=TOKEN_ENV,
    help=f"The token. [{TOKEN_ENV}; default: standard input]",
)


@click.command()
@click.option("--scope", "scopes", multiple=True, help="Only this, as kms:sign; once for each.")
@click.option("--tenant", help="Only keys of this tenant.")
@click.option("--prefix", help="Only keys under whole segments of a kid, as acme/audit.")
@click.option("--expires", help="As 12h, 30d or 2030-01-01T00:00:00Z.")
@click.option("--rate", type=click.IntRange(min=1), help="Operations a second.")
@click.option("--out", type=click.Path(path_type=Path), help="A new file for it, mode 0600. [default: printed]")
@_token_file
def attenuate(
    scopes: tuple[str, ...],
    tenant: str | None,
    prefix: str | None,
    expires: str | None,
    rate: int | None,
    out: Path | None,
    token_file: Path | None,
) -> None:
    """Narrow a token, offline: the new one may only what both the old one and these options allow."""
    from ron_kms.capabilities.caveats import write  # noqa: PLC0415 - so that --help loads no core
    from ron_kms.capabilities.tokens import attenuate as narrow  # noqa: PLC0415

    moment = None if expires is None else expiry(expires, datetime.now(UTC))
    caveats = write(scopes=scopes or None, tenant=tenant, prefix=prefix, expires=moment, rate=rate)
    if not caveats:
        raise click.UsageError("nothing to narrow it by: give --scope, --tenant, --prefix, --expires or --rate")
    give(narrow(read_token(token_file), caveats), out)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Tell it as JSON.")
@_token_file
def inspect(as_json: bool, token_file: Path | None) -> None:
    """Tell what a token says, offline; its signature is not shown, and cannot be checked here."""
    from ron_kms.capabilities.tokens import inspect as look_into  # noqa: PLC0415 - so that --help loads no core

    found = look_into(read_token(token_file))
    if as_json:
        click.echo(json.dumps({"id": found.token_id, "root": found.root_id, "caveats": found.caveats}, indent=2))
    else:
        click.echo(describe_token(found, datetime.now(UTC)))


@click.command()
@click.option("--retire-roots", is_flag=True, help="End every token that there is; without it they stay good.")
@with_settings("data_dir", "store_url", "seal", "passphrase_file")
def reset(retire_roots: bool, **flags: Any) -> None:
    """Make a new administrator's token, offline, with the root key; the service must be stopped.

    For when every token was lost: a new root is made for it, and it is written to admin.token in the data folder. For
    when one was stolen, --retire-roots ends all of them.
    """
    with unlocked(settings_of(flags)) as (directory, store):
        from ron_kms.server.tokens import reset_tokens  # noqa: PLC0415 - so that --help loads no server

        path = reset_tokens(store, directory, retire=retire_roots)
    click.echo(f"a new administrator's token is in {path}")
    click.echo("every token from before is ended" if retire_roots else "tokens from before are as good as they were")
