"""Seals: the places where a root key can rest, by name.

A seal is written ``<name>:<path>``, for example ``keyfile:/var/lib/ron-kms/root.key``.
"""

from __future__ import annotations

from pathlib import Path

from ron_kms.errors import ConfigurationError
from ron_kms.root.keyfile import Keyfile
from ron_kms.root.passphrase import Passphrase
from ron_kms.root.seal import Seal

__all__ = ["Seal", "parse_seal"]


def parse_seal(text: str, passphrase_file: Path | None = None) -> Seal:
    """:param passphrase_file: where the passphrase of a ``passphrase`` seal is read; None asks at the terminal.

    :raises ConfigurationError: the seal's name is not known, or what follows it is missing.
    """
    name, _, where = text.partition(":")
    if name not in (Keyfile.name, Passphrase.name):
        raise ConfigurationError(
            "the seal of the root key is not one that this version knows",
            hint="Use keyfile:<path> or passphrase:<path>; pkcs11 is not there yet.",
        )
    if not where:
        raise ConfigurationError(f"the seal '{name}' needs a path", hint=f"Write it as {name}:<path>.")
    path = Path(where).absolute()
    return Keyfile(path) if name == Keyfile.name else Passphrase(path, passphrase_file)
