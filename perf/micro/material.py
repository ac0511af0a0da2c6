"""One key, one set of messages and their signatures, in every contender's own form."""

from __future__ import annotations

import hashlib
import os
from typing import Any, NamedTuple

import pysodium
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from perf.micro.floor import Floor, FloorKey, FloorLane, make_key
from ron_kms import _core
from ron_kms.crypto.signing import SigningKey, VerifyKey
from ron_kms.crypto.suites import Suite, find

MESSAGES = 1024
MESSAGE_SIZE = 64
"""Bytes: about what the service signs for a caller's digest."""

PYCA: dict[str, Any] = {
    "ed25519": Ed25519PrivateKey,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey,
}


class Material(NamedTuple):
    """Everything that is needed to measure one suite.

    :ivar pyca: a private key of pyca/cryptography for each track.
    :ivar signatures: one a track, for each message.
    :ivar replay: with the same random numbers the C loop writes the very signatures that the core writes.
    """

    suite: Suite
    floor: FloorKey
    slot: _core.KeySlot
    public: _core.PublicKey
    pyca: list[Any]
    messages: list[bytes]
    signatures: list[tuple[bytes, ...]]
    replay: bool


def make(floor: Floor, name: str) -> Material:
    """The same for every run of the bench, so that runs compare.

    :raises RuntimeError: the contenders do not agree about a key or a signature.
    """
    suite = find("sign", name)
    seeds = [hashlib.sha256(f"ron-kms bench {track}".encode()).digest() for track in suite.track_names]
    key = make_key(floor, tuple(track.native for track in suite.tracks), seeds)
    slot = _to_core(suite, key)
    public = _core.PublicKey(suite.scheme, key.public_keys)
    pyca = [_to_pyca(track, seed) for track, seed in zip(suite.track_names, seeds, strict=True)]
    if tuple(private.public_key().public_bytes_raw() for private in pyca) != key.public_keys:
        raise RuntimeError(f"pyca/cryptography derives another {name} key than liboqs")
    messages = [hashlib.blake2b(b"%d" % i, digest_size=MESSAGE_SIZE).digest() for i in range(MESSAGES)]
    signatures = _sign(floor, slot, messages)
    if set(_core.verify([public] * MESSAGES, messages, signatures)) != {(1 << len(suite.tracks)) - 1}:
        raise RuntimeError(f"the core refuses its own {name} signatures")
    joined = [b"".join(parts) for parts in signatures]
    lane = FloorLane(floor, key, "sign", 8, messages, [bytes(len(joined[0]))] * MESSAGES)
    lane.run(0, 1, seed=1)
    replay = lane.written().startswith(b"".join(joined[:8]))
    return Material(suite, key, slot, public, pyca, messages, signatures, replay)


def signing_key(material: Material) -> SigningKey:
    """The library's key around the same slot: its own interface only makes new ones."""
    key = SigningKey.__new__(SigningKey)
    key._suite, key._slot = material.suite, material.slot
    key._verify_key = verify_key(material)
    return key


def verify_key(material: Material) -> VerifyKey:
    return VerifyKey(material.suite, material.floor.public_keys)


def _to_pyca(track: str, seed: bytes) -> Any:
    kind = PYCA[track]
    return kind.from_private_bytes(seed) if track == "ed25519" else kind.from_seed_bytes(seed)


def _to_core(suite: Suite, key: FloorKey) -> _core.KeySlot:
    """Through the one door that the core has for keys from outside: a blob sealed under a secret that it reads."""
    secret, nonce, ad = os.urandom(32), os.urandom(24), b"bench"
    reader, writer = os.pipe()
    try:
        os.write(writer, secret.hex().encode() + b"\n")
    finally:
        os.close(writer)
    try:
        seal = _core.SecretKey.read_hex(reader)
    finally:
        os.close(reader)
    sealed = pysodium.crypto_aead_xchacha20poly1305_ietf_encrypt(key.secret, ad, nonce, secret)
    return seal.open_slot(suite.scheme, key.public_keys, nonce + sealed, ad)


def _sign(floor: Floor, slot: _core.KeySlot, messages: list[bytes]) -> list[tuple[bytes, ...]]:
    floor.replay(1)
    results = _core.sign([slot] * len(messages), messages)
    floor.replay(0)
    signatures = [result for result in results if isinstance(result, tuple)]
    if len(signatures) != len(messages):
        raise RuntimeError("the core could not sign")
    return signatures
