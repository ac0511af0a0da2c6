"""What the core computes with libsodium, once more from the standards with hashlib and pyca/cryptography."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305


def mac(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104)."""
    return hmac.digest(key, data, "sha256")


def derive(key: bytes, info: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) without salt, one block of output."""
    return mac(mac(bytes(32), key), info + b"\x01")


def key_id(key: bytes) -> str:
    """The id by which the core names a secret."""
    return mac(key, b"ron-kms/key-id/v1")[:8].hex()


def chain(key: bytes, parts: Iterable[bytes]) -> bytes:
    """The signature of a macaroon (Birgisson et al. 2014), the key derived as libmacaroons does."""
    signature = mac(b"macaroons-key-generator", key)
    for part in parts:
        signature = mac(signature, part)
    return signature


def open_sealed(key: bytes, blob: bytes, ad: bytes) -> bytes:
    """Open 24 bytes of nonce and XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03).

    :raises cryptography.exceptions.InvalidTag: it does not open.
    """
    return ChaCha20Poly1305(_hchacha20(key, blob[:16])).decrypt(bytes(4) + blob[16:24], blob[24:], ad)


def seal(key: bytes, nonce: bytes, plain: bytes, ad: bytes) -> bytes:
    """The other way."""
    return nonce + ChaCha20Poly1305(_hchacha20(key, nonce[:16])).encrypt(bytes(4) + nonce[16:], plain, ad)


def _hchacha20(key: bytes, nonce: bytes) -> bytes:
    state = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key), *struct.unpack("<4I", nonce)]
    for _ in range(10):
        for column in range(4):
            _quarter(state, column, column + 4, column + 8, column + 12)
        for column in range(4):
            _quarter(state, column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
    return struct.pack("<8I", *state[:4], *state[12:])


def _quarter(state: list[int], a: int, b: int, c: int, d: int) -> None:
    for left, right, changed, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        state[left] = (state[left] + state[right]) & 0xFFFFFFFF
        mixed = state[changed] ^ state[left]
        state[changed] = (mixed << turn | mixed >> (32 - turn)) & 0xFFFFFFFF


def sha512_expansion(seed: bytes) -> tuple[bytes, bytes]:
    """An Ed25519 seed's clamped scalar and its prefix (RFC 8032, 5.1.5)."""
    digest = bytearray(hashlib.sha512(seed).digest())
    digest[0] &= 248
    digest[31] = digest[31] & 127 | 64
    return bytes(digest[:32]), bytes(digest[32:])
