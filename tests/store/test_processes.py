"""Several processes on one store, and processes that die."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ron_kms.store import changes
from tests.counts import count
from tests.store.sample import Place


@contextmanager
def writer(place: Place, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(Path(__file__).with_name("writer.py")), place.url, place.seal, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert not err
    return out.splitlines()


def recorded(place: Place) -> list[changes.Change]:
    store = place.open()
    try:
        return store.database.read(lambda connection: changes.since(connection, store.rows, 0, 100_000)).result()
    finally:
        store.close()


def test_processes_that_start_at_once_agree_on_one_root_and_store_key(place: Place) -> None:
    with writer(place, "identify") as a, writer(place, "identify") as b, writer(place, "identify") as c:
        told = [finish(process) for process in (a, b, c)]
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 1


def test_two_processes_write_at_once(place: Place) -> None:
    each = count(200, 5000)
    with writer(place, "write", f"{each}") as a, writer(place, "write", f"{each}") as b:
        told = [[int(n) for n in finish(process)] for process in (a, b)]
    assert [len(numbers) for numbers in told] == [each, each]
    assert sorted(told[0] + told[1]) == list(range(1, 2 * each + 1))
    assert len(recorded(place)) == 2 * each


@pytest.mark.parametrize("acknowledged", [1, 33])
def test_killing_a_writer_loses_nothing_that_it_acknowledged(place: Place, acknowledged: int) -> None:
    with writer(place, "write", "1000000") as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(acknowledged)]
        process.kill()
        told += [int(line) for line in process.stdout if line.endswith("\n")]
        process.wait(10)
    kept = recorded(place)
    assert len(kept) >= len(told)
    assert told == list(range(1, len(told) + 1))
    assert [change.n for change in kept] == list(range(1, len(kept) + 1))


def test_a_process_that_forgets_to_close_ends_and_its_work_is_done(place: Place) -> None:
    with writer(place, "forget", "300") as process:
        finish(process)
    assert len(recorded(place)) == 300


def test_a_commit_that_fails_fails_for_all_that_gathered_and_the_next_one_works(place: Place) -> None:
    with writer(place, "fill") as process:
        first, second, after = finish(process)
    assert first == second
    assert "disk" in first
    assert after == "1"
