"""Tokens in files and on standard input, never among arguments, which every user of the machine can read."""

from __future__ import annotations

import os
import re
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from ron_kms.disk import sync_path
from ron_kms.errors import BadRequest, ConfigurationError

_MOST = 8192
_SPAN = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_token(file: Path | None) -> str:
    """The token in a file, or on standard input where none is named.

    :raises ConfigurationError: it cannot be read.
    """
    if file is None:
        if sys.stdin.isatty():
            raise click.UsageError("name the token's file with --token-file, or give the token on standard input")
        return sys.stdin.read(_MOST).strip()
    try:
        with file.open() as opened:
            return opened.read(_MOST).strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigurationError(f"the token in {file} cannot be read: {reason}") from None


def new_file(out: Path | None) -> None:
    """Refuse a file that :func:`give` could not make, before a token is made for it and lost.

    :raises ConfigurationError: it is there already, or its folder cannot be written.
    """
    if out is None:
        return
    if out.is_symlink() or out.exists():
        raise ConfigurationError(f"{out} is there already", hint="Name a new file with --out.")
    if not os.access(out.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"{out} cannot be made: its folder is not there or not to be written")


def give(token: str, out: Path | None) -> None:
    """Print a token, or write it to a new file of its owner's."""
    if out is None:
        click.echo(token)
        return
    fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(token + "\n")


def replace(file: Path, token: str) -> None:
    """Write a token in the place of the one in a file, on disk when this returns; a crash leaves either."""
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    try:
        give(token, fresh)
        sync_path(fresh)
        fresh.replace(file)
        sync_path(file.parent)
    finally:
        fresh.unlink(missing_ok=True)


def expiry(text: str, now: datetime) -> datetime | None:
    """The moment that ``30d``, ``12h``, ``2030-01-01T00:00:00Z`` or ``never`` means, None for the last.

    :raises BadRequest: it is none of these.
    """
    if text == "never":
        return None
    span = _SPAN.fullmatch(text)
    if span is not None:
        return (now + timedelta(seconds=int(span[1]) * _SECONDS[span[2]])).replace(microsecond=0)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise BadRequest("an expiry is a time such as 12h, 30d or 2030-01-01T00:00:00Z, or never")
    return moment.astimezone(UTC)
