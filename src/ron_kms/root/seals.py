"""Seals: the places where a root key can rest, by name.

A seal is written ``<name>:<where>``, for example ``keyfile:/var/lib/ron-kms/root.key``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ron_kms.errors import ConfigurationError
from ron_kms.root.handle import RootKey
from ron_kms.root.keyfile import Keyfile


class Seal(Protocol):
    """What a root key's resting place can do; ``str()`` of it tells people where it is."""

    @property
    def name(self) -> str:
        """The seal's name, as it stands before the colon."""

    def load(self) -> RootKey | None:
        """The root key, or None where there is none yet.

        :raises RootKeyError: there is one, and it cannot or must not be used.
        """

    def create(self) -> RootKey:
        """Make a root key that outlives a crash, or take the one that another process has made meanwhile.

        :raises RootKeyError: it cannot be kept safely.
        """


def parse_seal(text: str) -> Seal:
    """:raises ConfigurationError: the seal's name is not known, or what follows it is missing."""
    name, _, where = text.partition(":")
    if name != "keyfile":
        raise ConfigurationError(
            "the seal of the root key is not one that this version knows",
            hint="Use keyfile:<path>; passphrase and pkcs11 are not there yet.",
        )
    if not where:
        raise ConfigurationError("the seal 'keyfile' needs a path", hint="Write it as keyfile:<path>.")
    return Keyfile(Path(where).absolute())
