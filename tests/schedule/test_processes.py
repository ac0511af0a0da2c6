"""Several processes with work to share: one at a time, whatever happens to it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from ron_kms.errors import StoreUnavailable
from ron_kms.model import Kid
from ron_kms.service.schedule import LEASE
from ron_kms.store.bootstrap import Store
from ron_kms.store.schema import LEASES
from tests.freshness.parts import make, run, serve
from tests.schedule.parts import make_due, numbers
from tests.store.sample import Place
from tests.waiting import until

ROOT = Path(__file__).parents[2]
KEYS = 12


class Member(NamedTuple):
    process: subprocess.Popen[str]
    holder: str
    """What it calls itself in leases."""


@contextmanager
def member(place: Place) -> Iterator[Member]:
    command = [sys.executable, "-m", "tests.schedule.member", place.url, place.seal, "0.5", "0.1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            yield Member(process, process.stdout.readline().strip())
        finally:
            process.kill()


@pytest.fixture
def kids(place: Place, store: Store) -> list[Kid]:
    async def made() -> list[Kid]:
        with serve(place.open()) as kms:
            return [await make(kms) for _ in range(KEYS)]

    return run(made())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_another_takes_over_and_nothing_is_done_twice(
    place: Place, store: Store, kids: list[Kid], how: signal.Signals
) -> None:
    with member(place) as a, member(place) as b:
        for kid in kids:
            make_due(store, kid)
        assert until(lambda: len(rotated(store, kids)) >= 2)
        holder = store.database.read(lambda c: store.rows.find(c, LEASES, LEASE)).result()
        assert holder is not None
        victim = next(member for member in (a, b) if member.holder == holder["holder"])
        victim.process.send_signal(how)
        while how is signal.SIGSTOP and not writable(store):
            victim.process.send_signal(signal.SIGCONT)  # it was stopped while it held SQLite's lock
            time.sleep(0.01)
            victim.process.send_signal(how)
        assert until(lambda: len(rotated(store, kids)) == len(kids))
        assert all(numbers(store, kid) == [1, 2] for kid in kids)
        if how is signal.SIGSTOP:
            victim.process.send_signal(signal.SIGCONT)
            make_due(store, kids[0])
            assert until(lambda: numbers(store, kids[0]) == [1, 2, 3])
            assert all(numbers(store, kid) == [1, 2] for kid in kids[1:])


def writable(store: Store) -> bool:
    try:
        store.database.write(lambda connection: None).result()
    except StoreUnavailable:
        return False
    return True


def rotated(store: Store, kids: list[Kid]) -> list[Kid]:
    return [kid for kid in kids if len(numbers(store, kid)) > 1]
