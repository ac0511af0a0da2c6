"""Whether Granian is there, found out without loading it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from ron_kms.errors import ConfigurationError

VERSION = "2.8.7"


def check() -> None:
    """:raises ConfigurationError: Granian is not installed, or not in the version that is known here."""
    hint = "Install it with: pip install 'ron-kms[granian]'"
    try:
        found = version("granian")
    except PackageNotFoundError:
        raise ConfigurationError("the server granian is not installed", hint=hint) from None
    if found != VERSION:
        raise ConfigurationError(f"the server granian is needed in version {VERSION}, found is {found}", hint=hint)
