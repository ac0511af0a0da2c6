"""Killed under load, again and again: what was answered is in the log, and what is in the store as well."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from ron_kms.audit.record import Record, decode
from ron_kms.store import outbox
from ron_kms.store.keys import list_keys
from tests.audit.place import SLOW, Place
from tests.counts import count
from tests.waiting import until

REPOSITORY = Path(__file__).parents[2]
TORN = re.compile(r"had a torn end of \d+ bytes that no one was told of: cut$")


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def kill_under_load(folder: Path, rounds: int) -> None:
    command = [sys.executable, "-m", "tests.audit.victim", folder]
    answered = folder / "answered"
    with subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            for _ in range(rounds):
                before = lines(answered)
                process.stdin.write("go\n")
                process.stdin.flush()
                pid = int(process.stdout.readline())
                wanted = before + random.randrange(1, 120)

                def worked(wanted: int = wanted) -> bool:
                    return lines(answered) >= wanted

                try:
                    assert until(worked, 60)
                finally:
                    os.kill(pid, signal.SIGKILL)
                assert process.stdout.readline() == "gone\n"
            process.stdin.close()
            # A kill may have hit a group that was being written, of which nobody was told: that is cut, and said.
            assert all(TORN.search(line) for line in process.stderr.read().splitlines())
        finally:
            process.kill()


def test_no_answered_operation_is_missing(place: Place) -> None:
    kill_under_load(place.folder, count(25, 300))
    store = place.store()
    trail = place.open(store, pace=SLOW)
    assert not trail.log.damage
    assert trail.close()
    size = trail.log.size
    stored = [
        item for index in range(-(-size // 256)) for item in place.log().records(index, min(256, size - index * 256))
    ]
    records: list[Record] = [decode(item) for item in stored]
    requests = {record.request_id for record in records if record.operation.startswith("sign")}
    changes = Counter(record.kid for record in records if record.operation in ("create", "rotate"))
    said = [line.split() for line in (place.folder / "answered").read_text().splitlines()]
    assert {name for kind, name in said if kind == "sign"} <= requests
    assert {name for kind, name in said if kind == "change"} <= changes.keys()
    assert sum(kind == "sign" for kind, _ in said) > 100
    # Each change that is in the store has one record, whether it was answered or not; and there is no other.
    keys = store.database.read(lambda connection: list_keys(connection, store.rows, (), None, 100_000)).result()
    made = {str(key.kid.at(number)) for key in keys for number in range(1, key.newest + 1)}
    assert changes == dict.fromkeys(made, 1)
    waiting = store.database.read(lambda connection: outbox.waiting_for(connection, store.rows, trail.log.origin))
    assert waiting.result() == []
    store.close()
