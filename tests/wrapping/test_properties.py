"""Whatever is wrapped or sealed opens again, and nothing else does."""

from __future__ import annotations

import copy
import pickle
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ron_kms import BadRequest, Internal, Unsupported, UnwrapKey, WrapKey, _core, wrap_batch

SUITES = ["x25519", "ml-kem-768", "ml-kem-1024", "x25519+ml-kem-768"]
AEADS = ["XChaCha20-Poly1305"] + ["XAES-256-GCM"] * _core.has_aes_gcm()


@cache
def unwrap_key(suite: str) -> UnwrapKey:
    return UnwrapKey.generate(suite)


@cache
def sealing_slot(name: str) -> _core.KeySlot:
    return _core.generate(_core.AeadScheme(name))[0]


@given(suite=st.sampled_from(SUITES), plain=st.binary(max_size=200), info=st.binary(max_size=50), data=st.data())
def test_any_flipped_bit_keeps_it_shut(suite: str, plain: bytes, info: bytes, data: st.DataObject) -> None:
    key = unwrap_key(suite)
    wrapped = key.wrap_key.wrap(plain, info)
    assert key.unwrap(wrapped, info) == plain
    forged = bytearray(wrapped)
    forged[data.draw(st.integers(0, len(forged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    for message, told in ((bytes(forged), info), (wrapped, info + b"x"), (wrapped[:-1], info), (b"", info)):
        with pytest.raises(BadRequest):
            key.unwrap(message, told)


@given(name=st.sampled_from(AEADS), plain=st.binary(max_size=200), aad=st.binary(max_size=50), data=st.data())
def test_any_flipped_bit_keeps_it_sealed(name: str, plain: bytes, aad: bytes, data: st.DataObject) -> None:
    slot = sealing_slot(name)
    [sealed] = _core.aead_seal([slot], [aad], [plain])
    assert isinstance(sealed, bytes)
    assert _core.aead_open([slot], [aad], [sealed]) == [plain]
    forged = bytearray(sealed)
    forged[data.draw(st.integers(0, len(forged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    results = _core.aead_open([slot] * 4, [aad, aad + b"x", aad, aad], [forged, sealed, sealed[:-1], b"short"])
    assert [type(result) for result in results] == [_core.CoreError] * 4
    assert len({str(result) for result in results}) == 1


def test_a_bad_item_spoils_no_other() -> None:
    key = unwrap_key("x25519")
    results = wrap_batch([(key.wrap_key, b"one", b""), (key.wrap_key, "not bytes", b""), (key.wrap_key, b"three", b"")])  # type: ignore[list-item]
    assert isinstance(results[1], TypeError)
    good = [(result, b"") for result in results if isinstance(result, bytes)]
    opened = key.unwrap_batch([*good, (b"garbage", b"")])
    assert opened[:2] == [b"one", b"three"]
    assert isinstance(opened[2], BadRequest)


def test_a_public_key_of_low_order_is_refused() -> None:
    with pytest.raises(BadRequest):
        WrapKey.from_bytes("x25519", bytes(32)).wrap(b"data key")


def test_keys_keep_to_their_use() -> None:
    signer = _core.generate(_core.SignatureScheme(("Ed25519",)))[0]
    wrapper = unwrap_key("x25519")._slot
    assert isinstance(_core.sign([wrapper], [b""])[0], TypeError)
    assert isinstance(_core.hpke_open([signer], [b""], [bytes(100)])[0], TypeError)
    assert isinstance(_core.aead_open([wrapper], [b""], [bytes(100)])[0], TypeError)
    with pytest.raises(Unsupported):
        UnwrapKey.generate("ed25519")
    with pytest.raises(ValueError, match="32 bytes"):
        WrapKey.from_bytes("x25519", bytes(31))


def test_secrets_cannot_be_copied() -> None:
    key = unwrap_key("x25519")
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            attempt(key._slot)
    assert key._slot.fingerprint in repr(key)


def test_a_closed_key_opens_nothing() -> None:
    key = UnwrapKey.generate("hybrid")
    wrapped = key.wrap_key.wrap(b"data key")
    key.close()
    with pytest.raises(Internal):
        key.unwrap(wrapped)
