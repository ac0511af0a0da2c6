"""``ron-kms``: the commands, and how their errors are told."""

from __future__ import annotations

import sys

import click

from ron_kms.cli.audit import audit
from ron_kms.cli.backup import backup
from ron_kms.cli.config import config
from ron_kms.cli.pq import pq
from ron_kms.cli.restore import restore
from ron_kms.cli.root import root
from ron_kms.cli.serve import serve
from ron_kms.cli.token import token
from ron_kms.cli.version import version
from ron_kms.errors import KmsError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="ron-kms", message="ron-kms %(version)s")
def commands() -> None:
    """A post-quantum key management service: it keeps keys, signs and verifies."""


commands.add_command(audit)
commands.add_command(backup)
commands.add_command(config)
commands.add_command(pq)
commands.add_command(restore)
commands.add_command(root)
commands.add_command(serve)
commands.add_command(token)
commands.add_command(version)


def main() -> None:
    """The console script. Errors are one sentence on stderr and exit code 1."""
    try:
        code = commands(prog_name="ron-kms", standalone_mode=False)
        if isinstance(code, int):  # how click gives back what a command has raised as Exit
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except KmsError as error:
        click.echo(f"ron-kms: {error.message}.{' ' + error.hint if error.hint else ''}", err=True)
        sys.exit(1)
    except OSError as error:
        click.echo(f"ron-kms: {error.strerror or 'a system call failed'}: {error.filename or 'no file'}.", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
