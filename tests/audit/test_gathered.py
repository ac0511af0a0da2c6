"""Records that nobody waits for, where the log takes none: they are taken together, and cost what one costs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ron_kms.audit import gathered
from ron_kms.audit.gathered import Gathered
from ron_kms.audit.record import decode
from tests.audit.place import record


class Full:
    """A log that has no room, until it has."""

    def __init__(self) -> None:
        self.room = False
        self.asked = 0
        self.taken: list[bytes] = []

    def trail(self, records: Sequence[bytes]) -> bool:
        self.asked += 1
        if self.room:
            self.taken += records
        return self.room


def test_a_full_log_is_not_asked_for_every_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "RETRY_SECONDS", 3600.0)
    log = Full()
    trailing = Gathered(log)
    for number in range(1000):
        trailing.trail([record(number)])
    assert log.asked <= 2
    log.room = True
    trailing.flush()
    [made] = map(decode, log.taken)
    assert (made.count, made.reason, len(trailing)) == (1000, "gathered", 0)


def test_it_is_asked_again_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "RETRY_SECONDS", 0.0)
    log = Full()
    trailing = Gathered(log)
    trailing.trail([record(0)])
    log.room = True
    trailing.trail([record(1)])
    assert [decode(made).count for made in log.taken] == [1, 1]
