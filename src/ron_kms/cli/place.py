"""Where a command finds the service that it speaks to: the options for that, and the client."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ron_kms.cli.client import Client
from ron_kms.config import TOKEN_ENV, state_directory

F = TypeVar("F", bound=Callable[..., Any])


def with_service(scopes: str) -> Callable[[F], F]:
    """Give a command the options that :func:`connect` takes.

    :param scopes: what the token needs, in words.
    """

    def decorate(command: F) -> F:
        for option in (
            click.option("--key", "key", type=click.Path(path_type=Path), help="Its key (PEM)."),
            click.option("--cert", type=click.Path(path_type=Path), help="The client's certificate (PEM)."),
            click.option("--ca", type=click.Path(path_type=Path), help="Authority of the service's certificate (PEM)."),
            click.option(
                "--token-file",
                type=click.Path(path_type=Path),
                envvar=TOKEN_ENV,
                help=f"A token with {scopes}. [{TOKEN_ENV}; default: admin.token in the data folder]",
            ),
            click.option("--url", help="The service. [default: from endpoints.json in the data folder]"),
            click.option(
                "--data-dir",
                type=click.Path(path_type=Path),
                help="Data folder of a service on this machine. [KMS_DATA_DIR]",
            ),
        ):
            command = option(command)
        return command

    return decorate


def data_folder(data_dir: Path | None) -> Path:
    """The data folder that is meant."""
    return data_dir or Path(os.environ.get("KMS_DATA_DIR") or state_directory()).expanduser()


def token_path(data_dir: Path | None, token_file: Path | None) -> Path:
    """The file with the token that is meant."""
    return token_file or data_folder(data_dir) / "admin.token"


def connect(
    data_dir: Path | None,
    url: str | None,
    token_file: Path | None,
    ca: Path | None,
    cert: Path | None,
    key: Path | None,
) -> Client:
    """A client of the service that the options name."""
    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key are needed together")
    certificate = None if cert is None or key is None else (cert, key)
    return Client.find(data_folder(data_dir), url=url, token_file=token_file, ca=ca, certificate=certificate)
