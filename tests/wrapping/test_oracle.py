"""Independent implementations open what we wrap and seal, and make what we open."""

from __future__ import annotations

import os

import nacl.bindings as sodium
import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import (
    AEAD,
    KDF,
    KEM,
    MLKEM768X25519PrivateKey,
    MLKEM768X25519PublicKey,
    Suite,
)

from ron_kms import UnwrapKey, WrapKey, _core

KEMS = {
    "x25519": KEM.X25519,
    "ml-kem-768": KEM.MLKEM768,
    "ml-kem-1024": KEM.MLKEM1024,
    "x25519+ml-kem-768": KEM.MLKEM768_X25519,
}
INFO = b"what it is for"


def oracle(suite: str) -> Suite:
    return Suite(KEMS[suite], KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


def their_public(suite: str, raw: bytes):  # type: ignore[no-untyped-def]
    if suite == "x25519":
        return x25519.X25519PublicKey.from_public_bytes(raw)
    if suite == "ml-kem-768":
        return mlkem.MLKEM768PublicKey.from_public_bytes(raw)
    if suite == "ml-kem-1024":
        return mlkem.MLKEM1024PublicKey.from_public_bytes(raw)
    return MLKEM768X25519PublicKey(their_public("ml-kem-768", raw[:1184]), their_public("x25519", raw[1184:]))


def their_pair(suite: str):  # type: ignore[no-untyped-def]
    """A private key of theirs and its public half in our form."""
    if suite == "x25519":
        private = x25519.X25519PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()
    if suite == "ml-kem-768":
        private = mlkem.MLKEM768PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()
    if suite == "ml-kem-1024":
        private = mlkem.MLKEM1024PrivateKey.generate()
        return private, private.public_key().public_bytes_raw()
    (one, ml_public), (two, x_public) = their_pair("ml-kem-768"), their_pair("x25519")
    return MLKEM768X25519PrivateKey(one, two), ml_public + x_public


@pytest.mark.parametrize("suite", KEMS)
def test_they_wrap_and_we_open(suite: str) -> None:
    with UnwrapKey.generate(suite) as key:
        theirs = oracle(suite).encrypt(b"data key", their_public(suite, key.wrap_key.public), info=INFO)
        assert key.unwrap(theirs, INFO) == b"data key"


@pytest.mark.parametrize("suite", KEMS)
def test_we_wrap_and_they_open(suite: str) -> None:
    private, public = their_pair(suite)
    ours = WrapKey.from_bytes(suite, public).wrap(b"data key", INFO)
    assert oracle(suite).decrypt(ours, private, info=INFO) == b"data key"


def test_what_is_rewrapped_opens_for_them() -> None:
    private, public = their_pair("x25519+ml-kem-768")
    with UnwrapKey.generate("ml-kem-1024") as old:
        wrapped = old.wrap_key.wrap(b"data key", INFO)
        [moved] = _core.hpke_rewrap(
            [old._slot], [INFO], [wrapped], [WrapKey.from_bytes("hybrid", public).native], [b"new"]
        )
    assert isinstance(moved, bytes)
    assert oracle("x25519+ml-kem-768").decrypt(moved, private, info=b"new") == b"data key"


def test_xchacha_agrees_with_libsodium_under_pynacl() -> None:
    key, aad = os.urandom(32), b"aad"
    slot = _core.from_published_seed(_core.AeadScheme("XChaCha20-Poly1305"), key)
    [ours] = _core.aead_seal([slot], [aad], [b"plain"])
    assert isinstance(ours, bytes)
    assert sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ours[24:], aad, ours[:24], key) == b"plain"


def xaes_key(key: bytes, nonce: bytes) -> bytes:
    """C2SP XAES-256-GCM, its key derivation, over pyca's AES."""
    aes = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    first = int.from_bytes(aes.update(bytes(16)))
    subkey = (first << 1 & (1 << 128) - 1) ^ (0x87 if first >> 127 else 0)
    blocks = [int.from_bytes(bytes((0, n)) + b"X\0" + nonce[:12]) ^ subkey for n in (1, 2)]
    return b"".join(aes.update(block.to_bytes(16)) for block in blocks)


@pytest.mark.skipif(not _core.has_aes_gcm(), reason="this CPU has no AES instructions, so XAES-256-GCM is refused")
def test_xaes_agrees_with_pyca() -> None:
    scheme = _core.AeadScheme("XAES-256-GCM")
    for size in (0, 1, 16, 1000):
        key, nonce, plain, aad = os.urandom(32), os.urandom(24), os.urandom(size), os.urandom(size % 7)
        slot = _core.from_published_seed(scheme, key)
        theirs = AESGCM(xaes_key(key, nonce)).encrypt(nonce[12:], plain, aad)
        assert _core.aead_open([slot], [aad], [nonce + theirs]) == [plain]
        [ours] = _core.aead_seal([slot], [aad], [plain])
        assert isinstance(ours, bytes)
        assert AESGCM(xaes_key(key, ours[:24])).decrypt(ours[12:24], ours[24:], aad) == plain
