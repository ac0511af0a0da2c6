"""A process that signs through the library has private keys in guarded memory and nowhere else, and none after use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.core.child import ROOT
from tests.memory.search import Searched, search
from tests.memory.stored import Opened, open_store


class Signer:
    """The process, and what the test knows of its store."""

    def __init__(self, folder: Path) -> None:
        self.database, self.keyfile = folder / "keys.db", folder / "root.key"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.memory.signer", str(self.database), str(self.keyfile)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert self.answer() == "ready"

    def do(self, what: str, kids: list[str] | None = None) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": what, "kids": kids or []}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def secrets(self) -> Opened:
        return open_store(self.database, self.keyfile)

    def search(self, secrets: Opened) -> Searched:
        searched = search(self.process.pid, {**secrets.root, **secrets.service, **secrets.keys}, secrets.tables)
        assert searched.read > 10_000_000
        return searched


@pytest.fixture
def signer(tmp_path: Path) -> Iterator[Signer]:
    signer = Signer(tmp_path)
    with signer.process:
        yield signer
        signer.process.communicate()


def test_the_search_finds_what_is_spilt(signer: Signer) -> None:
    kids = signer.do("create")
    secrets = signer.secrets()
    signer.do("sign", kids)
    assert signer.search(secrets).outside() == set()
    ed25519, ml_dsa = kids[0], kids[3]
    # Sixteen bytes at an odd address, and half a polynomial as it is while ML-DSA works with it.
    signer.do("spill", [(b"\xff" * 3 + secrets.keys[ed25519][0][10:26]).hex()])
    signer.do("spill", [(secrets.tables[ml_dsa][2][512:]).hex()])
    searched = signer.search(secrets)
    assert {one.secret for one in searched.outside()} == {ed25519, ml_dsa}
    assert {one.place for one in searched.outside()} <= {"[heap]", "anonymous rw-p"}


def test_private_keys_are_in_guarded_memory_only_and_only_while_they_are_used(signer: Signer) -> None:
    kids = signer.do("create")
    secrets = signer.secrets()
    assert set(kids) == set(secrets.keys)

    fresh = signer.search(secrets)
    assert fresh.outside() == set()
    assert {one.secret for one in fresh.found} == {"store key", "row key", "seal of core"}

    first, others = kids[:12], kids[12:]
    signer.do("sign", first)
    signer.do("batch", first)
    assert set(signer.do("loaded")) == set(first)
    signed = signer.search(secrets)
    assert signed.outside() == set()
    for kid in kids:
        assert signed.places(kid) == ({"guarded"} if kid in first else set())

    signer.do("batch", others)
    signer.do("sign", others)
    loaded = set(signer.do("loaded"))
    assert len(loaded) == 16
    assert not loaded & set(first)
    evicted = signer.search(secrets)
    assert evicted.outside() == set()
    assert {kid for kid in kids if evicted.places(kid)} == loaded

    signer.do("close")
    assert signer.search(secrets).found == frozenset()
