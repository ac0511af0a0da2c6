"""Killed at any moment: what was acknowledged is there, what was not happened whole or not at all, and once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

import pytest

from ron_kms.model import Kid
from ron_kms.service.due import DESTROY
from ron_kms.service.local import LocalKms
from ron_kms.store import changes
from ron_kms.store.keys import load_key
from tests.counts import count
from tests.life.place import DIGEST, Place, do_due

ROOT = Path(__file__).parents[2]


class Ledger:
    """What must be there."""

    def __init__(self) -> None:
        self.newest: dict[str, int] = {}
        self.condemned: set[str] = set()
        self.destroyed: set[str] = set()
        self.blobs: dict[str, set[bytes]] = {}

    def did(self, verb: str, name: str) -> None:
        key = name.partition("#")[0]
        match verb:
            case "create":
                assert key not in self.newest
                self.newest[key] = 1
            case "rotate":
                self.newest[key] += 1
                assert name.endswith(f"#v{self.newest[key]}")
            case "destroy":
                self.condemned.add(key)
            case "due":
                self.destroyed |= self.condemned
                self.condemned = set()

    def repeat(self, kms: LocalKms, verb: str, op: str, name: str) -> None:
        """Ask once more for what nobody has acknowledged."""
        match verb:
            case "create":
                self.did(verb, kms.create(tenant="acme", purpose="crash", suite="ed25519", op_id=op))
            case "rotate":
                self.did(verb, kms.rotate(name, op_id=op).kid)
            case "destroy":
                kms.destroy(name, op_id=op)
                self.did(verb, name)
            case "due":
                do_due(kms, DESTROY, datetime.now(UTC) + timedelta(days=31))
                self.did(verb, "all")

    def check(self, kms: LocalKms, place: Place) -> None:
        inner = kms._kms
        assert {key.kid for key in kms.list_keys(limit=1000).keys} == set(self.newest)
        told = inner.database.read(lambda connection: changes.since(connection, inner.rows, 0, 1_000_000)).result()
        assert [change.n for change in told] == list(range(1, len(told) + 1))
        for name in self.newest:
            self.check_key(kms, name)
        data = b"".join(file.read_bytes() for file in place.folder.glob("keys.db*"))
        gone = set().union(*(self.blobs.get(key, set()) for key in self.destroyed))
        assert not any(blob in data for blob in gone)
        alive = [key for key in self.newest if key not in self.condemned | self.destroyed]
        for key in random.Random(len(told)).sample(alive, min(5, len(alive))):
            signed = kms.sign(key, digest=DIGEST)
            assert signed.kid == f"{key}#v{self.newest[key]}"
            assert kms.verify(signed.kid, signed.sigs, digest=DIGEST).ok

    def check_key(self, kms: LocalKms, name: str) -> None:
        inner = kms._kms
        found = inner.database.read(lambda connection: load_key(connection, inner.rows, Kid.parse(name))).result()
        assert found is not None
        key, versions = found
        state = (
            "destroyed" if name in self.destroyed else "pending-destruction" if name in self.condemned else "enabled"
        )
        assert (key.state, {version.state for version in versions}) == (state, {state})
        assert [version.number for version in versions] == list(range(1, self.newest[name] + 1))
        assert {bool(version.blob) for version in versions} == {state != "destroyed"}
        self.blobs.setdefault(name, set()).update(version.blob for version in versions if version.blob)


@contextmanager
def crasher(place: Place) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [sys.executable, "-m", "tests.life.crasher", place.url, place.seal]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdin, process.stdout
        finally:
            process.kill()


@pytest.mark.timeout(count(120, 900))
def test_killed_while_it_creates_rotates_and_destroys(place: Place) -> None:
    chance = random.Random(11)
    ledger = Ledger()
    with crasher(place) as (orders, told):
        for seed in range(count(25, 200)):
            orders.write(f"{seed}\n")
            pid = int(told.readline().split()[1])
            # In the middle of what it asks for first, or of what comes a few changes later.
            lines = [told.readline() for _ in range(chance.randrange(1, 16))]
            time.sleep(chance.random() * 0.005)
            os.kill(pid, signal.SIGKILL)
            while lines[-1] != "dead\n":
                lines.append(told.readline())
            pending: list[str] = []
            for line in lines[:-1]:
                match line.split():
                    case ["ask", *asked]:
                        pending = asked
                    case ["did", name]:
                        ledger.did(pending[0], name)
                        pending = []
            with place.open() as kms:
                if pending:
                    ledger.repeat(kms, *pending)
                ledger.check(kms, place)
    assert ledger.destroyed
