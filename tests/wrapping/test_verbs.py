"""wrap, unwrap, rewrap, seal and open as the service does them, over a real store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

import ron_kms
from ron_kms import _core
from ron_kms.service.local import LocalKms

WRAPPING = ["x25519", "ml-kem-768", "ml-kem-1024", "hybrid"]
SEALING = ["xchacha20-poly1305"] + ["xaes-256-gcm"] * _core.has_aes_gcm()


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[LocalKms]:
    with ron_kms.open(f"sqlite:///{tmp_path}/keys.db", seal=f"keyfile:{tmp_path}/root.key") as opened:
        yield opened


def make(kms: LocalKms, use: str, suite: str | None = None) -> str:
    return kms.create(tenant="core", purpose="data", use=use, suite=suite)  # type: ignore[arg-type]


@pytest.mark.parametrize("suite", WRAPPING)
def test_a_data_key_is_wrapped_and_unwrapped(kms: LocalKms, suite: str) -> None:
    kid = make(kms, "wrap", suite)
    made = kms.wrap(kid, size=32, context=b"table 7")
    assert made.kid == kid
    assert isinstance(made.plaintext, bytes)
    assert len(made.plaintext) == 32
    assert kms.unwrap(kid, made.wrapped, context=b"table 7") == made.plaintext
    given = kms.wrap(kid, plaintext=b"my own data key", context=b"table 7")
    assert kms.unwrap(kid, given.wrapped, context=b"table 7") == b"my own data key"
    again = kms.rewrap(kid, given.wrapped, context=b"table 7")
    assert again.wrapped != given.wrapped
    assert kms.unwrap(kid, again.wrapped, context=b"table 7") == b"my own data key"


@pytest.mark.parametrize("suite", SEALING)
def test_data_are_sealed_and_opened(kms: LocalKms, suite: str) -> None:
    kid = make(kms, "seal", suite)
    sealed = kms.seal(kid, b"card number", aad=b"row 1")
    assert sealed.kid == kid
    assert b"card number" not in sealed.sealed
    assert kms.open(kid, sealed.sealed, aad=b"row 1") == b"card number"
    assert kms.seal(kid, b"card number", aad=b"row 1").sealed != sealed.sealed


def test_keys_open_after_a_restart(tmp_path: Path) -> None:
    url, seal = f"sqlite:///{tmp_path}/keys.db", f"keyfile:{tmp_path}/root.key"
    with ron_kms.open(url, seal=seal) as kms:
        wrapper, sealer = make(kms, "wrap"), make(kms, "seal")
        wrapped, sealed = kms.wrap(wrapper, plaintext=b"data key"), kms.seal(sealer, b"data")
    with ron_kms.open(url, seal=seal) as kms:
        assert kms.unwrap(wrapper, wrapped.wrapped) == b"data key"
        assert kms.open(sealer, sealed.sealed) == b"data"


def test_whatever_is_wrong_is_told_alike(kms: LocalKms) -> None:
    wrapper, other, sealer = make(kms, "wrap"), make(kms, "wrap"), make(kms, "seal")
    wrapped, sealed = kms.wrap(wrapper, plaintext=b"k", context=b"c").wrapped, kms.seal(sealer, b"d", aad=b"a").sealed
    told = set()

    def refused(call: object, *args: object, **kwargs: object) -> None:
        with pytest.raises(ron_kms.BadRequest) as caught:
            call(*args, **kwargs)  # type: ignore[operator]
        told.add((caught.value.message, caught.value.hint))

    def versioned(data: bytes) -> bytes:
        return data[:1] + b"\0\0\0\x02" + data[5:]

    refused(kms.unwrap, wrapper, wrapped, context=b"d")
    refused(kms.unwrap, other, wrapped, context=b"c")
    refused(kms.unwrap, wrapper, wrapped[:-1], context=b"c")
    refused(kms.unwrap, wrapper, versioned(wrapped), context=b"c")
    refused(kms.unwrap, wrapper.replace("#v1", "#v2"), wrapped, context=b"c")
    refused(kms.rewrap, wrapper, wrapped, context=b"d")
    refused(kms.open, sealer, sealed, aad=b"b")
    refused(kms.open, sealer, versioned(sealed), aad=b"a")
    refused(kms.open, sealer, sealed[:-1] + bytes([sealed[-1] ^ 1]), aad=b"a")
    assert len(told) == 1
    with pytest.raises(ron_kms.BadRequest, match="form"):
        kms.open(sealer, b"\x02" + sealed[1:], aad=b"a")


def test_keys_keep_to_their_use(kms: LocalKms) -> None:
    signer, wrapper, sealer = make(kms, "sign"), make(kms, "wrap"), make(kms, "seal")
    wrapped, sealed = kms.wrap(wrapper, plaintext=b"k").wrapped, kms.seal(sealer, b"d").sealed
    for attempt in (
        lambda: kms.wrap(signer, size=32),
        lambda: kms.seal(wrapper, b"d"),
        lambda: kms.sign(wrapper, digest=bytes(32)),
        lambda: kms.unwrap(sealer, wrapped),
        lambda: kms.open(wrapper, sealed),
        lambda: kms.rewrap(sealer, wrapped),
    ):
        with pytest.raises(ron_kms.Unsupported):
            attempt()
    with pytest.raises(ron_kms.BadRequest):
        kms.wrap(wrapper, size=32, plaintext=b"both")
    with pytest.raises(ron_kms.BadRequest):
        kms.wrap(wrapper)
    with pytest.raises(ron_kms.NotFound):
        kms.unwrap("core/data/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a", wrapped)
    with pytest.raises(ron_kms.Unsupported):
        make(kms, "wrap", "ed25519")


def test_anyone_can_wrap_offline(kms: LocalKms) -> None:
    """With the public key, a standard HPKE library and the info that the documents state."""
    kid = make(kms, "wrap", "x25519")
    [version] = kms.get(kid).versions
    public = x25519.X25519PublicKey.from_public_bytes(version.public[0].public_key)
    info = b"ron-kms/wrap/v1\0" + kid.encode() + b"\0" + b"context"
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    message = suite.encrypt(b"data key", public, info=info)
    assert kms.unwrap(kid, b"\x01" + b"\0\0\0\x01" + message, context=b"context") == b"data key"


def test_items_of_a_batch_stand_alone(kms: LocalKms) -> None:
    kid, other, sealer = make(kms, "wrap"), make(kms, "wrap", "x25519"), make(kms, "seal")
    wrapped = kms.wrap_batch(
        [{"size": 16}, {"kid": other, "plaintext": b"two"}, {"kid": "nonsense", "size": 16}], kid=kid
    )
    assert isinstance(wrapped[2].error, ron_kms.service.schema.Failure)
    assert wrapped[2].error.code == "BadRequest"
    opened = kms.unwrap_batch(
        [
            {"wrapped": wrapped[0].wrapped},
            {"kid": other, "wrapped": wrapped[1].wrapped},
            {"wrapped": wrapped[1].wrapped},
        ],
        kid=kid,
    )
    assert [result.plaintext for result in opened[:2]] == [wrapped[0].plaintext, b"two"]
    assert opened[2].error.message == "the ciphertext does not open"  # type: ignore[union-attr]
    moved = kms.rewrap_batch([{"wrapped": wrapped[0].wrapped}, {"wrapped": b"short"}], kid=kid)
    assert kms.unwrap(kid, moved[0].wrapped) == wrapped[0].plaintext  # type: ignore[arg-type]
    assert moved[1].error.code == "BadRequest"  # type: ignore[union-attr]
    sealed = kms.seal_batch([{"plaintext": bytes([n])} for n in range(100)], kid=sealer)
    opened_data = kms.open_batch([{"sealed": result.sealed} for result in sealed] + [{"sealed": b"x"}], kid=sealer)
    assert [result.plaintext for result in opened_data[:100]] == [bytes([n]) for n in range(100)]
    assert opened_data[100].error.code == "BadRequest"  # type: ignore[union-attr]
