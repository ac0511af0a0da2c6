"""Argon2id in the core, against OpenSSL's."""

from __future__ import annotations

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st

from ron_kms import _core
from tests.core.independent import key_id
from tests.counts import count

LEAST = 8192


def independent(passphrase: bytes, salt: bytes, passes: int, memory: int) -> bytes:
    try:
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory // 1024)
    except UnsupportedAlgorithm:  # pragma: no cover
        pytest.skip("this OpenSSL has no Argon2id")
    return kdf.derive(passphrase)


@settings(max_examples=count(20, 300))
@given(
    st.binary(min_size=1, max_size=200),
    st.binary(min_size=16, max_size=16),
    st.integers(1, 3),
    st.integers(LEAST // 1024, 200).map(lambda kib: kib * 1024),
)
def test_it_makes_the_secret_that_openssl_makes(passphrase: bytes, salt: bytes, passes: int, memory: int) -> None:
    key = _core.from_passphrase(bytearray(passphrase), salt, passes, memory)
    assert key.id == key_id(independent(passphrase, salt, passes, memory))
    key.release()


def test_any_buffer_will_do() -> None:
    room = bytearray(b"..a passphrase..")
    key = _core.from_passphrase(memoryview(room)[2:-2], bytes(16), 1, LEAST)
    assert key.id == _core.from_passphrase(b"a passphrase", bytes(16), 1, LEAST).id


@pytest.mark.parametrize(("passes", "memory"), [(0, LEAST), (1, LEAST - 1), (1, 2**50)])
def test_what_argon2_refuses(passes: int, memory: int) -> None:
    with pytest.raises(_core.CoreError, match="Argon2id refuses"):
        _core.from_passphrase(b"a passphrase", bytes(16), passes, memory)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        _core.from_passphrase(b"a passphrase", bytes(15), 1, LEAST)
    with pytest.raises(TypeError):
        _core.from_passphrase("a passphrase", bytes(16), 1, LEAST)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _core.from_passphrase(b"a passphrase", None, 1, LEAST)  # type: ignore[arg-type]
