"""The one table of suites.

A suite is what a key version is made of: one track, or a classical and a post-quantum one together (a hybrid). To add
one, add its line to :data:`SUITES` and, for a new track, its known answer to ``known_answers.json``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ron_kms._core import AeadScheme, CoreError, KemScheme, Scheme, SignatureScheme
from ron_kms.errors import Unsupported
from ron_kms.model import Use

_LEVELS = {"ml-dsa-44": 2, "ml-dsa-65": 3, "ml-dsa-87": 5, "ml-kem-768": 3, "ml-kem-1024": 5}
"""NIST's security categories of post-quantum tracks."""


class Track:
    """One algorithm of a suite.

    :ivar name: its name on the wire, such as ``ml-dsa-65``.
    :ivar post_quantum: whether it is a public-key algorithm that withstands a quantum computer.
    """

    __slots__ = ("name", "post_quantum")

    def __init__(self, name: str) -> None:
        self.name = name
        self.post_quantum = name in _LEVELS

    @property
    def native(self) -> str:
        """Its name in the C libraries, such as ``ML-DSA-65``."""
        return _NATIVE.get(self.name, self.name.upper())

    def __repr__(self) -> str:
        return f"Track({self.name!r})"


_NATIVE = {"ed25519": "Ed25519", "x25519+ml-kem-768": "X-Wing", "xchacha20-poly1305": "XChaCha20-Poly1305"}


class Suite:
    """Everything about one suite: what it may do, its tracks in order, its compiled form.

    :ivar public_names: what each of its public keys is called on the wire. A signing hybrid has one a track; X-Wing has
        one public key for both of its tracks.
    :ivar available: whether this machine can compute it.
    """

    __slots__ = ("_scheme", "name", "public_names", "track_names", "tracks", "use")

    def __init__(self, use: Use, name: str) -> None:
        self.use = use
        self.name = name
        self.tracks = tuple(Track(track) for track in name.split("+"))
        self.track_names = tuple(track.name for track in self.tracks)
        self.public_names = self.track_names if use == "sign" else (name,) if use == "wrap" else ()
        try:
            self._scheme: Scheme | None = _compile(use, name)
        except CoreError:
            if use != "seal":
                raise
            self._scheme = None  # AES-GCM without AES instructions

    @property
    def available(self) -> bool:
        return self._scheme is not None

    @property
    def scheme(self) -> Scheme:
        """Its compiled form.

        :raises Unsupported: this machine cannot compute it.
        """
        if self._scheme is None:
            raise Unsupported(f"this machine's CPU has no AES instructions, which {self.name} needs")
        return self._scheme

    @property
    def signature_scheme(self) -> SignatureScheme:
        """:raises Unsupported: it does not sign."""
        if not isinstance(self._scheme, SignatureScheme):
            raise Unsupported(f"{self.name} does not sign")
        return self._scheme

    @property
    def hybrid(self) -> bool:
        return len(self.tracks) > 1

    @property
    def post_quantum(self) -> bool:
        """Whether one of its tracks is."""
        return any(track.post_quantum for track in self.tracks)

    @property
    def generation(self) -> int:
        """0 classical, 1 hybrid, 2 post-quantum alone; a symmetric suite is 2."""
        return 1 if self.hybrid else 2 if self.post_quantum or self.use == "seal" else 0

    @property
    def level(self) -> int:
        """NIST's security category of its post-quantum track, 0 without one."""
        return max(_LEVELS.get(track.name, 0) for track in self.tracks)

    def may_become(self, other: Suite) -> bool:
        """Whether a key of this suite may rotate to another: never to less post-quantum, never to a lower category."""
        if self.use != other.use:
            return False
        return other.generation >= self.generation and other.level >= self.level

    def __repr__(self) -> str:
        return f"<Suite {self.name}>"


def _compile(use: Use, name: str) -> Scheme:
    if use == "sign":
        return SignatureScheme(tuple(Track(track).native for track in name.split("+")))
    return KemScheme(Track(name).native) if use == "wrap" else AeadScheme(Track(name).native)


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
            Suite("wrap", "x25519"),  # RFC 9180
            Suite("wrap", "ml-kem-768"),  # FIPS 203
            Suite("wrap", "ml-kem-1024"),
            Suite("wrap", "x25519+ml-kem-768"),  # X-Wing
            Suite("seal", "xchacha20-poly1305"),
            Suite("seal", "xaes-256-gcm"),  # C2SP
        )
    }
)

ALIASES: Mapping[tuple[Use, str], str] = MappingProxyType(
    {
        ("sign", "hybrid"): "ed25519+ml-dsa-65",
        ("sign", "ml-dsa"): "ml-dsa-65",
        ("wrap", "hybrid"): "x25519+ml-kem-768",
        ("wrap", "ml-kem"): "ml-kem-768",
    }
)

DEFAULTS: Mapping[Use, str] = MappingProxyType(
    {"sign": "ed25519+ml-dsa-65", "wrap": "x25519+ml-kem-768", "seal": "xchacha20-poly1305"}
)
"""The suite of a new key where none is named."""


def find(use: Use, name: str) -> Suite:
    """The suite of that name or alias.

    :raises Unsupported: there is none for this use, or this machine cannot compute it.
    """
    suite = SUITES.get(ALIASES.get((use, name), name))
    if suite is None or suite.use != use:
        raise Unsupported(f"there is no such suite to {use} with", hint=f"There are: {', '.join(names(use))}.")
    if not suite.available:
        raise Unsupported(f"this machine's CPU has no AES instructions, which {suite.name} needs")
    return suite


def names(use: Use) -> list[str]:
    """Names and aliases of all suites for a use, for messages and documents."""
    own = [suite.name for suite in SUITES.values() if suite.use == use]
    return own + [alias for (of, alias) in ALIASES if of == use]
