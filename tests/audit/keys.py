"""A log's keys, as the core makes them."""

from __future__ import annotations

from ron_kms import _core
from ron_kms.audit.checkpoint import Signer
from ron_kms.audit.note import ED25519, ML_DSA_44, NoteKey
from ron_kms.crypto.suites import SUITES


def signer(name: str, kind: int) -> Signer:
    """A fresh key that signs as ``name``."""
    suite = SUITES["ed25519" if kind == ED25519 else "ml-dsa-44"]
    (slot,) = _core.generate(suite.scheme)

    def sign(message: bytes) -> bytes:
        (signatures,) = _core.sign([slot], [message])
        assert not isinstance(signatures, Exception)
        return signatures[0]

    return Signer(NoteKey(name, kind, slot.public_keys[0]), sign)


def signers(name: str) -> tuple[Signer, Signer]:
    """Both keys of a log."""
    return signer(name, ED25519), signer(name, ML_DSA_44)
