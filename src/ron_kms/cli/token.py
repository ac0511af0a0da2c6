"""``ron-kms token``: mint, list and revoke tokens at the service, and their roots. What needs no service is in
:mod:`ron_kms.cli.token_offline`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ron_kms.cli.client import Client, segment
from ron_kms.cli.place import connect, token_path, with_service
from ron_kms.cli.token_file import expiry, give, new_file, read_token, replace
from ron_kms.cli.token_offline import attenuate, inspect, reset
from ron_kms.cli.token_text import describe_roots, describe_tokens
from ron_kms.errors import KmsError

_PAGE = 500
_ADMIN = "the scope kms:admin"

Json = dict[str, Any]


@click.group()
def token() -> None:
    """Tokens: mint, narrow, look into, list and revoke them, and rotate what signs them."""


token.add_command(attenuate)
token.add_command(inspect)
token.add_command(reset)


@token.command()
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do, as kms:sign; once for each.")
@click.option("--tenant", help="The one tenant that it covers. [default: all that the minter's covers]")
@click.option("--prefix", help="Whole segments of a kid that it covers, as acme/audit.")
@click.option("--expires", help="As 12h, 30d, 2030-01-01T00:00:00Z or never. [default: 90d]")
@click.option("--rate", type=click.IntRange(min=1), help="Operations a second.")
@click.option("--label", default="", help="A note for the list: who has it, what for.")
@click.option("--out", type=click.Path(path_type=Path), help="A new file for it, mode 0600. [default: printed]")
@with_service(_ADMIN)
def mint(
    scopes: tuple[str, ...],
    tenant: str | None,
    prefix: str | None,
    expires: str | None,
    rate: int | None,
    label: str,
    out: Path | None,
    **place: Any,
) -> None:
    """Make a token, at most as mighty as the one that asks for it. It is shown this once."""
    from ron_kms.capabilities.caveats import write  # noqa: PLC0415 - so that --help loads no core

    write(scopes=scopes, tenant=tenant, prefix=prefix, expires=None, rate=rate)  # refuses, in words for a person
    new_file(out)
    asked: Json = {"scopes": scopes, "tenant": tenant, "prefix": prefix, "rate": rate}
    body = {name: value for name, value in asked.items() if value is not None} | {"label": label}
    if expires is not None:
        body["expires"] = _moment(expires)
    with connect(**place) as client:
        made = client.post("/tokens", body).body
    give(made["token"], out)
    click.echo(f"token {made['id']}, valid until {made.get('expires', 'it is revoked')}", err=True)


@token.command("list")
@click.option("--json", "as_json", is_flag=True, help="Tell all of it as JSON.")
@with_service(_ADMIN)
def list_tokens(as_json: bool, **place: Any) -> None:
    """Tell what was minted and is not expired. Tokens themselves are kept nowhere."""
    with connect(**place) as client:
        tokens = [one for page in _pages(client) for one in page]
    click.echo(json.dumps(tokens, indent=2) if as_json else describe_tokens(tokens))


@token.command()
@click.argument("token_id", metavar="ID")
@click.option("--descendants", is_flag=True, help="Also what was minted with it, with that, and so on.")
@with_service(_ADMIN)
def revoke(token_id: str, descendants: bool, **place: Any) -> None:
    """Have a token refused, with all that were narrowed from it, within a second."""
    with connect(**place) as client:
        count, more = 0, True
        while more:
            done = client.delete(f"/tokens/{segment(token_id)}", {"descendants": descendants}).body
            count, more = count + done["count"], done.get("more", False)
    click.echo(f"{done['id']} is refused since {done['revoked']}; revoked now: {count}")


@token.command("replace")
@with_service(_ADMIN)
def replace_token(**place: Any) -> None:
    """Put another token with the same rights into the file, and revoke the one that is there.

    So the administrator's token is renewed: admin.token in the data folder, where no other file is named.
    """
    from ron_kms.capabilities.tokens import inspect as look_into  # noqa: PLC0415 - so that --help loads no core

    file = token_path(place["data_dir"], place["token_file"])
    before = look_into(read_token(file))
    with connect(**place) as client:
        label = f"in the place of {before.token_id}"
        made = client.post("/tokens", {"scopes": sorted(before.caller.scopes), "expires": None, "label": label}).body
        replace(file, made["token"])
        try:
            client.delete(f"/tokens/{segment(before.token_id)}")
        except KmsError as error:
            raise type(error)(
                f"{file} holds token {made['id']}, but {before.token_id} is not revoked: {error.message}",
                hint=f"Revoke it: ron-kms token revoke {before.token_id}",
            ) from None
    click.echo(f"{file} holds token {made['id']}; {before.token_id} is revoked")


@token.command()
@click.option("--json", "as_json", is_flag=True, help="Tell all of it as JSON.")
@with_service(_ADMIN)
def roots(as_json: bool, **place: Any) -> None:
    """Tell the roots, which sign tokens. The newest signs what is minted; the others' tokens are good until retired."""
    with connect(**place) as client:
        found = client.get("/token-roots").body["roots"]
    click.echo(json.dumps(found, indent=2) if as_json else describe_roots(found))


@token.command("rotate-root")
@with_service(_ADMIN)
def rotate_root(**place: Any) -> None:
    """Make a new root, which signs what is minted from now on."""
    with connect(**place) as client:
        made = client.post("/token-roots").body
    click.echo(f"root {made['id']} signs what is minted from now on; tokens of older roots are good until those retire")


@token.command("retire-root")
@click.argument("root_id", metavar="ID")
@with_service(_ADMIN)
def retire_root(root_id: str, **place: Any) -> None:
    """End every token that an older root has signed."""
    with connect(**place) as client:
        done = client.delete(f"/token-roots/{segment(root_id)}").body
    click.echo(f"no token of root {done['id']} is good since {done['retired']}")


def _moment(text: str) -> str | None:
    moment = expiry(text, datetime.now(UTC))
    return None if moment is None else moment.isoformat()


def _pages(client: Client) -> Iterator[list[Json]]:
    after = None
    while True:
        page = client.get("/tokens", limit=_PAGE, after=after).body
        yield page["tokens"]
        after = page.get("next")
        if after is None:
            return
