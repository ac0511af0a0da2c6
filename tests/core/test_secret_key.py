"""Symmetric secrets: every construction against an independent one, and every way in and out."""

from __future__ import annotations

import os
import re
import socket
import threading
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from ron_kms._core import CoreError, SecretKey, SignatureScheme, generate, sign
from tests.core import independent
from tests.core.keys import pipe_with, read_hex, reveal, secret

raw_keys = st.binary(min_size=32, max_size=32)


def test_the_independent_xchacha20_gives_the_published_answer() -> None:
    # draft-irtf-cfrg-xchacha-03, A.3.1
    key, nonce = bytes(range(0x80, 0xA0)), bytes(range(0x40, 0x58))
    plain = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen"
    plain += b" would be it."
    sealed = independent.seal(key, nonce, plain, bytes.fromhex("50515253c0c1c2c3c4c5c6c7"))
    assert sealed[-16:].hex() == "c0875924c1c7987947deafd8780acf49"


@given(raw_keys, st.binary(max_size=300))
def test_mac_is_hmac_sha256(raw: bytes, data: bytes) -> None:
    key = secret(raw)
    tag = independent.mac(raw, data)
    assert key.mac(data) == tag
    assert key.check(data, tag)
    assert not key.check(data + b"\0", tag)
    for wrong in (b"", tag[:-1], tag + b"\0", bytes([tag[0] ^ 1]) + tag[1:], tag[:-1] + bytes([tag[-1] ^ 128])):
        assert not key.check(data, wrong)


@given(raw_keys, st.binary(max_size=300))
def test_derive_is_hkdf_sha256(raw: bytes, info: bytes) -> None:
    assert reveal(secret(raw).derive(info)) == independent.derive(raw, info)


@given(raw_keys, st.lists(st.binary(max_size=100), max_size=6))
def test_chain_is_the_signature_of_a_macaroon(raw: bytes, parts: list[bytes]) -> None:
    key = secret(raw)
    tag = independent.chain(raw, parts)
    assert key.chain(parts) == tag
    assert key.check_chain(parts, tag)
    assert not key.check_chain([*parts, b""], tag)
    assert not key.check_chain(parts, tag[:-1])
    assert not key.check_chain(parts, bytes(32))


@given(raw_keys, raw_keys, st.binary(max_size=100))
def test_keys_are_sealed_with_xchacha20_poly1305(raw: bytes, other: bytes, ad: bytes) -> None:
    key = secret(raw)
    blob = key.seal_key(secret(other), ad)
    assert len(blob) == 24 + 32 + 16
    assert independent.open_sealed(raw, blob, ad) == other
    assert reveal(key.open_key(independent.seal(raw, bytes(range(24)), other, ad), ad)) == other


def test_a_sealed_slot_opens_independently_and_its_secret_has_the_ed25519_seed() -> None:
    raw = os.urandom(32)
    scheme = SignatureScheme(("Ed25519", "ML-DSA-65"))
    [slot] = generate(scheme)
    blob = secret(raw).seal_slot(slot, b"ad")
    plain = independent.open_sealed(raw, blob, b"ad")
    assert len(plain) == sum(scheme.secret_sizes)
    assert plain[32:64] == slot.public_keys[0]  # libsodium keeps the public key behind the seed
    again = secret(raw).open_slot(scheme, slot.public_keys, blob, b"ad")
    assert again.fingerprint == slot.fingerprint
    # Ed25519 is deterministic, so equal signatures prove equal keys.
    [first, second] = sign([slot, again], [b"m"] * 2)
    assert isinstance(first, tuple)
    assert isinstance(second, tuple)
    assert first[0] == second[0]


def test_two_seals_of_one_key_differ() -> None:
    key, other = SecretKey.generate(), SecretKey.generate()
    assert key.seal_key(other, b"") != key.seal_key(other, b"")


def test_a_blob_opens_only_as_it_was_made() -> None:
    key, other = SecretKey.generate(), SecretKey.generate()
    blob = key.seal_key(other, b"ad")
    assert key.open_key(blob, b"ad").id == other.id
    for place in range(len(blob)):
        changed = bytearray(blob)
        changed[place] ^= 1 << place % 8
        with pytest.raises(CoreError, match="does not open"):
            key.open_key(bytes(changed), b"ad")
    for wrong in (b"", blob[:-1], blob + b"\0", blob[:24], blob[:40], blob * 2):
        with pytest.raises(CoreError, match="does not open"):
            key.open_key(wrong, b"ad")
    for ad in (b"", b"a", b"ad\0", b"AD"):
        with pytest.raises(CoreError, match="does not open"):
            key.open_key(blob, ad)
    with pytest.raises(CoreError, match="does not open"):
        SecretKey.generate().open_key(blob, b"ad")
    with pytest.raises(InvalidTag):
        independent.open_sealed(bytes(32), blob, b"ad")


def test_a_slot_opens_only_with_its_scheme_and_sizes() -> None:
    key = SecretKey.generate()
    scheme = SignatureScheme(("ML-DSA-44",))
    [slot] = generate(scheme)
    blob = key.seal_slot(slot, b"ad")
    larger = SignatureScheme(("ML-DSA-65",))
    with pytest.raises(CoreError, match="does not open"):
        key.open_slot(larger, [bytes(larger.public_sizes[0])], blob, b"ad")
    for public in ([], [b""], [slot.public_keys[0][:-1]], [slot.public_keys[0]] * 2):
        with pytest.raises(ValueError, match="public key"):
            key.open_slot(scheme, public, blob, b"ad")


def test_the_id_names_the_key_and_is_not_part_of_it() -> None:
    raw = os.urandom(32)
    key = secret(raw)
    assert key.id == independent.key_id(raw)
    assert bytes.fromhex(key.id) not in raw
    assert repr(key) == f"<SecretKey {key.id}>"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_read_hex_takes_64_digits_with_or_without_newline(end: bytes) -> None:
    assert (
        reveal(read_hex(b"0123456789abcdefABCDEF0000000000" * 2 + end)).hex() == "0123456789abcdefabcdef0000000000" * 2
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"0" * 63,
        b"0" * 63 + b"\n",
        b"0" * 65,
        b"0" * 64 + b" ",
        b"0" * 64 + b"\r\n",
        b"0" * 64 + b"\n\n",
        b"0" * 64 + b"\n0",
        b"0" * 200,
        b" " + b"0" * 63,
        b"0x" + b"0" * 62,
        b"0" * 32 + b":" + b"0" * 31,
        b"g" * 64,
        b"\0" * 64,
        b"0" * 63 + b"\0",
        "٣".encode() * 32,
    ],
)
def test_read_hex_takes_nothing_else(content: bytes) -> None:
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        read_hex(content)


@given(st.binary(max_size=80))
def test_read_hex_never_takes_noise(content: bytes) -> None:
    if not re.fullmatch(rb"[0-9a-fA-F]{64}\n?", content):
        with pytest.raises(ValueError, match="64 hexadecimal digits"):
            read_hex(content)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    key = SecretKey.generate()
    path = tmp_path / "key"
    with path.open("wb", 0) as file:
        key.write_hex(file.fileno())
    assert re.fullmatch(r"[0-9a-f]{64}\n", path.read_text())
    with path.open("rb", 0) as file:
        assert SecretKey.read_hex(file.fileno()).id == key.id


def test_keys_travel_over_a_socket_in_order() -> None:
    keys = [SecretKey.generate() for _ in range(3)]
    here, there = socket.socketpair()
    with here, there:
        for key in keys:
            key.send(here.fileno())
        assert [SecretKey.receive(there.fileno()).id for _ in keys] == [key.id for key in keys]


def test_a_key_that_arrives_in_pieces_is_whole() -> None:
    raw = os.urandom(32)
    reading, writing = os.pipe()
    received: list[SecretKey] = []
    thread = threading.Thread(target=lambda: received.append(SecretKey.receive(reading)))
    thread.start()
    for i in range(32):
        os.write(writing, raw[i : i + 1])
    thread.join(10)  # without an end of the pipe: exactly 32 bytes are read
    assert reveal(received[0]) == raw
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("size", [0, 1, 31])
def test_a_truncated_key_is_refused(size: int) -> None:
    fd = pipe_with(bytes(size))
    with pytest.raises(CoreError, match="whole"):
        SecretKey.receive(fd)
    os.close(fd)


def test_descriptors_that_cannot_be_used() -> None:
    reading, writing = os.pipe()
    key = SecretKey.generate()
    with pytest.raises(CoreError):
        SecretKey.receive(writing)
    with pytest.raises(OSError, match="cannot be read"):
        SecretKey.read_hex(writing)
    os.close(reading)
    for send in (key.send, key.write_hex):
        with pytest.raises(OSError, match="cannot be"):
            send(writing)  # a pipe that nobody reads
        with pytest.raises(OSError, match="cannot be"):
            send(-1)
    os.close(writing)
    assert not key.closed
    assert len(key.mac(b"")) == 32


def test_a_released_secret_does_nothing() -> None:
    key, other = SecretKey.generate(), SecretKey.generate()
    [slot] = generate(SignatureScheme(("Ed25519",)))
    blob = key.seal_slot(slot, b"")
    key.release()
    key.release()
    assert key.closed
    assert repr(key) == "<SecretKey released>"
    reading, writing = os.pipe()
    attempts = (
        lambda: key.id,
        lambda: key.mac(b""),
        lambda: key.check(b"", bytes(32)),
        lambda: key.derive(b""),
        lambda: key.chain([]),
        lambda: key.check_chain([], bytes(32)),
        lambda: key.seal_key(other, b""),
        lambda: other.seal_key(key, b""),
        lambda: key.open_key(bytes(72), b""),
        lambda: key.seal_slot(slot, b""),
        lambda: key.open_slot(slot.scheme, slot.public_keys, blob, b""),
        lambda: key.send(writing),
        lambda: key.write_hex(writing),
    )
    for attempt in attempts:
        with pytest.raises(CoreError, match="released"):
            attempt()
    os.close(writing)
    assert os.read(reading, 1) == b""  # nothing was written
    os.close(reading)
    assert not other.closed
