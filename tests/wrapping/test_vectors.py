"""What the core computes is what the standards say."""

from __future__ import annotations

from itertools import islice

import pytest

from ron_kms import _core, _oqs
from tests.counts import count
from tests.wrapping import vectors

NAMES = {0x0020: "X25519", 0x647A: "X-Wing"}


def test_hpke_opens_the_published_messages() -> None:
    opened = set()
    for vector in vectors.hpke():
        if vector["kem_id"] not in NAMES:
            continue
        scheme = _core.KemScheme(NAMES[vector["kem_id"]])
        slot = _core.from_published_seed(scheme, bytes.fromhex(vector["skRm"]))
        assert slot.public_keys[0].hex() == vector["pkRm"]
        first = vector["encryptions"][0]
        message = bytes.fromhex(vector["enc"] + first["ct"])
        info, aad = bytes.fromhex(vector["info"]), bytes.fromhex(first["aad"])
        assert _core.hpke_open([slot], [info], [message], aad) == [bytes.fromhex(first["pt"])]
        opened.add(vector["kem_id"])
    assert opened == set(NAMES)


@pytest.mark.parametrize("size", [768, 1024])
def test_ml_kem_makes_and_opens_the_published_keys(size: int) -> None:
    scheme = _core.KemScheme(f"ML-KEM-{size}")
    kem = _oqs.ffi.gc(_oqs.lib.OQS_KEM_new(f"ML-KEM-{size}".encode()), _oqs.lib.OQS_KEM_free)
    seen = 0
    for vector in islice(vectors.ml_kem(size), count(25, 1000)):
        slot = _core.from_published_seed(scheme, vector["d"] + vector["z"])
        assert slot.public_keys == (vector["pk"],)
        shared = _oqs.ffi.new("uint8_t[32]")
        assert _oqs.lib.OQS_KEM_decaps(kem, shared, vector["ct"], vector["sk"]) == 0
        assert bytes(shared) == vector["ss"]
        seen += 1
    assert seen >= 25


@pytest.mark.skipif(not _core.has_aes_gcm(), reason="this CPU has no AES instructions, so XAES-256-GCM is refused")
@pytest.mark.parametrize(
    ("key", "aad", "sealed"),
    [
        (b"\x01" * 32, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
        (b"\x03" * 32, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
    ],
)
def test_xaes_opens_the_vectors_of_c2sp(key: bytes, aad: bytes, sealed: str) -> None:
    slot = _core.from_published_seed(_core.AeadScheme("XAES-256-GCM"), key)
    message = b"ABCDEFGHIJKLMNOPQRSTUVWX" + bytes.fromhex(sealed)
    assert _core.aead_open([slot], [aad], [message]) == [b"XAES-256-GCM"]


def test_xchacha_opens_the_vector_of_the_draft() -> None:
    """draft-irtf-cfrg-xchacha-03, A.3.1"""
    slot = _core.from_published_seed(_core.AeadScheme("XChaCha20-Poly1305"), bytes(range(0x80, 0xA0)))
    sealed = bytes.fromhex(
        "404142434445464748494a4b4c4d4e4f5051525354555657"
        "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
        "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
        "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
        "21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49"
    )
    [plain] = _core.aead_open([slot], [bytes.fromhex("50515253c0c1c2c3c4c5c6c7")], [sealed])
    assert isinstance(plain, bytes)
    assert plain.startswith(b"Ladies and Gentlemen of the class of '99")


def test_seeds_of_a_wrong_size_are_refused() -> None:
    for scheme, size in ((_core.KemScheme("X25519"), 31), (_core.KemScheme("ML-KEM-768"), 32)):
        with pytest.raises(ValueError, match="bytes of seed"):
            _core.from_published_seed(scheme, bytes(size))
