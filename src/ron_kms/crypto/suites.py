"""The one table of suites.

A suite is what a key version is made of: one track, or a classical and a post-quantum one together (a hybrid). To add
one, add its line to :data:`SUITES` and, for a new track, its known answer to ``known_answers.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ron_kms._core import SignatureScheme
from ron_kms.errors import Unsupported
from ron_kms.model import Use


class Track:
    """One algorithm of a suite.

    :ivar name: its name on the wire, such as ``ml-dsa-65``.
    :ivar native: its name in the C libraries, such as ``ML-DSA-65``.
    :ivar post_quantum: whether it withstands a quantum computer.
    """

    __slots__ = ("name", "native", "post_quantum")

    def __init__(self, name: str) -> None:
        self.name = name
        self.post_quantum = name.startswith("ml-")
        self.native = name.upper() if self.post_quantum else name.capitalize()

    def __repr__(self) -> str:
        return f"Track({self.name!r})"


class Suite:
    """Everything about one suite: what it may do, its tracks in order, their sizes in bytes."""

    __slots__ = ("name", "public_sizes", "scheme", "signature_sizes", "tracks", "use")

    def __init__(self, use: Use, name: str) -> None:
        self.use = use
        self.name = name
        self.tracks = tuple(Track(track) for track in name.split("+"))
        self.scheme = SignatureScheme(tuple(track.native for track in self.tracks))
        self.public_sizes = self.scheme.public_sizes
        self.signature_sizes = self.scheme.signature_sizes

    @property
    def track_names(self) -> tuple[str, ...]:
        return tuple(track.name for track in self.tracks)

    @property
    def hybrid(self) -> bool:
        return len(self.tracks) > 1

    def __repr__(self) -> str:
        return f"<Suite {self.name}>"


SUITES: Mapping[str, Suite] = MappingProxyType(
    {
        suite.name: suite
        for suite in (
            Suite("sign", "ed25519"),  # RFC 8032
            Suite("sign", "ml-dsa-44"),  # FIPS 204
            Suite("sign", "ml-dsa-65"),
            Suite("sign", "ml-dsa-87"),
            Suite("sign", "ed25519+ml-dsa-44"),
            Suite("sign", "ed25519+ml-dsa-65"),
            Suite("sign", "ed25519+ml-dsa-87"),
        )
    }
)

ALIASES: Mapping[tuple[Use, str], str] = MappingProxyType(
    {
        ("sign", "hybrid"): "ed25519+ml-dsa-65",
        ("sign", "ml-dsa"): "ml-dsa-65",
    }
)


def find(use: Use, name: str) -> Suite:
    """The suite of that name or alias.

    :raises Unsupported: there is none for this use.
    """
    suite = SUITES.get(ALIASES.get((use, name), name))
    if suite is None or suite.use != use:
        known = ", ".join(names(use)) or "none"
        raise Unsupported(f"there is no such suite to {use} with", hint=f"Suites to {use} with: {known}.")
    return suite


def names(use: Use) -> list[str]:
    """Names and aliases of all suites for a use, for messages and documents."""
    own = [suite.name for suite in SUITES.values() if suite.use == use]
    return own + [alias for (of, alias) in ALIASES if of == use]
