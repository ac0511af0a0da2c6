"""pyca/cryptography as an independent implementation: each track's keys by the names that suites use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, mldsa

_PRIVATE: Mapping[str, Any] = {
    "ed25519": ed25519.Ed25519PrivateKey,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey,
}
_PUBLIC: Mapping[str, Any] = {
    "ed25519": ed25519.Ed25519PublicKey,
    "ml-dsa-44": mldsa.MLDSA44PublicKey,
    "ml-dsa-65": mldsa.MLDSA65PublicKey,
    "ml-dsa-87": mldsa.MLDSA87PublicKey,
}


def generate(track: str) -> Any:
    """A private key with ``sign(message)`` and ``public_key().public_bytes_raw()``."""
    return _PRIVATE[track].generate()


def public_bytes(private: Any) -> bytes:
    raw: bytes = private.public_key().public_bytes_raw()
    return raw


def accepts(track: str, public: bytes, message: bytes, signature: bytes, context: bytes = b"") -> bool:
    """Whether pyca/cryptography takes the signature."""
    key = _PUBLIC[track].from_public_bytes(public)
    try:
        if context:
            key.verify(signature, message, context)
        else:
            key.verify(signature, message)
    except InvalidSignature:
        return False
    return True
