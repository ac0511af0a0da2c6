"""What the root wraps, and what is derived from it."""

from __future__ import annotations

import socket

import pytest

from ron_kms._core import CoreError, SecretKey
from ron_kms.root.handle import RootKey, StoreKeys


def test_what_was_wrapped_unwraps_to_the_same_keys() -> None:
    root, keys = RootKey(SecretKey.generate()), StoreKeys.generate()
    again = root.unwrap(root.wrap(keys))
    assert again.row_key.id == keys.row_key.id
    assert again.tenant_seal("acme").id == keys.tenant_seal("acme").id
    assert again.derive("token-roots").id == keys.derive("token-roots").id


def test_another_root_or_a_changed_bit_does_not_unwrap() -> None:
    root = RootKey(SecretKey.generate())
    wrapped = root.wrap(StoreKeys.generate())
    with pytest.raises(CoreError):
        RootKey(SecretKey.generate()).unwrap(wrapped)
    for place in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[place] ^= 1
        with pytest.raises(CoreError):
            root.unwrap(bytes(changed))
    for wrong in (b"", wrapped[:-1], wrapped + b"\0"):
        with pytest.raises(CoreError):
            root.unwrap(wrong)


def test_the_root_travels_over_a_socket() -> None:
    root = RootKey(SecretKey.generate())
    here, there = socket.socketpair()
    with here, there:
        root.send(here.fileno())
        received = RootKey.receive(there.fileno())
        assert received.id == root.id
        received.unwrap(root.wrap(StoreKeys.generate()))
        here.send(b"half")
        here.close()
        with pytest.raises(CoreError):
            RootKey.receive(there.fileno())


def test_every_use_and_tenant_has_a_key_of_its_own() -> None:
    keys = StoreKeys.generate()
    derived = [
        keys.row_key.id,
        keys.derive("token-roots").id,
        keys.derive("seal").id,
        keys.tenant_seal("a").id,
        keys.tenant_seal("b").id,
        keys.derive("rows", "a").id,
    ]
    assert len(set(derived)) == len(derived)
    assert keys.derive("seal", "a").id == keys.tenant_seal("a").id
    assert keys.derive("rows").id == keys.row_key.id


def test_derived_keys_follow_the_written_scheme() -> None:
    secret = SecretKey.generate()
    assert StoreKeys(secret).tenant_seal("acme").id == secret.derive(b"ron-kms/seal/v1\0acme").id
    assert StoreKeys(secret).row_key.id == secret.derive(b"ron-kms/rows/v1\0").id


def test_kept_tenants_are_bounded_and_one_in_use_survives() -> None:
    keys = StoreKeys.generate()
    first = keys.tenant_seal("tenant-0")
    for n in range(300):
        keys.tenant_seal(f"tenant-{n}")
    assert len(keys._seals) <= 128
    assert keys.tenant_seal("tenant-0") is not first
    assert keys.tenant_seal("tenant-0").id == first.id  # not released under its user


def test_releasing_wipes_all() -> None:
    keys = StoreKeys.generate()
    seal = keys.tenant_seal("acme")
    keys.release()
    assert seal.closed
    assert keys.row_key.closed
    with pytest.raises(CoreError):
        keys.tenant_seal("acme")
    root = RootKey(SecretKey.generate())
    root.release()
    with pytest.raises(CoreError):
        root.wrap(StoreKeys.generate())
