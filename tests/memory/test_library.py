"""A process that signs through the library has private keys in guarded memory and nowhere else, and none after use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.memory.search import Searched, search
from tests.memory.signer import Signer
from tests.memory.stored import Opened


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    with Signer(tmp_path) as signer:
        yield signer


def look(signer: Signer, secrets: Opened) -> Searched:
    searched = search(signer.pid, {**secrets.root, **secrets.service, **secrets.keys}, secrets.tables)
    assert searched.read > 10_000_000
    return searched


def test_the_search_finds_what_is_spilt(signer: Signer) -> None:
    kids = signer.do("create")
    secrets = signer.secrets()
    ed25519, ml_dsa = kids[0], kids[3]
    # Sixteen bytes at an odd address, and half a polynomial as it is while ML-DSA works with it.
    signer.do("spill", [(b"\xff" * 3 + secrets.keys[ed25519][0][10:26]).hex()])
    signer.do("spill", [(secrets.tables[ml_dsa][2][512:]).hex()])
    searched = look(signer, secrets)
    assert {one.secret for one in searched.outside()} == {ed25519, ml_dsa}
    assert {one.place for one in searched.outside()} <= {"[heap]", "anonymous rw-p"}


def test_private_keys_are_in_guarded_memory_only_and_only_while_they_are_used(signer: Signer) -> None:
    kids = signer.do("create")
    secrets = signer.secrets()
    assert set(kids) == set(secrets.keys)

    fresh = look(signer, secrets)
    assert fresh.outside() == set()
    assert {one.secret for one in fresh.found} == {"store key", "row key", "seal of core"}

    first, others = kids[:12], kids[12:]
    signer.do("sign", first)
    signer.do("batch", first)
    assert set(signer.do("loaded")) == set(first)
    signed = look(signer, secrets)
    assert signed.outside() == set()
    for kid in kids:
        assert signed.places(kid) == ({"guarded"} if kid in first else set())

    signer.do("batch", others)
    signer.do("sign", others)
    loaded = set(signer.do("loaded"))
    assert len(loaded) == 16
    assert not loaded & set(first)
    evicted = look(signer, secrets)
    assert evicted.outside() == set()
    assert {kid for kid in kids if evicted.places(kid)} == loaded

    signer.do("close")
    assert look(signer, secrets).found == frozenset()
