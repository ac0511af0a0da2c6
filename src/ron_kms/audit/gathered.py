"""Records that nobody waits for: never dropped, but taken together where the log has no room for them.

Then one record stands for what was done with a version: the count, the failures, and the root over their digests.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from ron_kms.audit.record import Record, decode, encode
from ron_kms.audit.tree import Frontier, leaf_hash

KEPT = 256
"""Versions, by tenant and operation, that are kept apart; all others are taken together."""

RETRY_SECONDS = 0.25
"""After a log had no room it is not asked again for so long: making the records anew takes milliseconds."""

_Name = tuple[str | None, str | None, str]


class Trailing(Protocol):
    """A log that takes records without being waited for."""

    def trail(self, records: Sequence[bytes], /) -> bool:
        """Whether there was room for them."""


class Gathered:
    """Stands before a log. Safe to use from several threads."""

    def __init__(self, log: Trailing) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._kept: dict[_Name, _Sum] = {}
        self._refused = -math.inf

    def __len__(self) -> int:
        """Records that wait to be taken."""
        return len(self._kept)

    def trail(self, records: Sequence[bytes]) -> None:
        """Have records in the log, by themselves or together with others."""
        if self._kept and time.monotonic() - self._refused >= RETRY_SECONDS:
            self.flush()
        if self._kept or not self._log.trail(records):
            with self._lock:
                for record in map(decode, records):
                    self._add(record)

    def flush(self) -> None:
        """Have what was gathered in the log, if there is room for it now."""
        with self._lock:
            if not self._kept:
                return
            if self._log.trail([kept.record() for kept in self._kept.values()]):
                self._kept = {}
            else:
                self._refused = time.monotonic()

    def _add(self, record: Record) -> None:
        name: _Name = (record.tenant, record.kid, record.operation)
        if name not in self._kept and len(self._kept) >= KEPT:
            name = (None, None, record.operation)
        kept = self._kept.get(name)
        if kept is None:
            kept = self._kept[name] = _Sum(name, record)
        kept.add(record)


class _Sum:
    def __init__(self, name: _Name, first: Record) -> None:
        self._name = name
        self._first = first
        self._count = self._failures = 0
        self._digests = Frontier()

    def add(self, record: Record) -> None:
        self._count += record.count
        self._failures += record.failures
        self._digests.append((leaf_hash(record.digest or b""),))

    def record(self) -> bytes:
        tenant, kid, _ = self._name
        return encode(
            msgspec.structs.replace(
                self._first,
                tenant=tenant,
                kid=kid,
                suite=None if kid is None else self._first.suite,
                digest=self._digests.root,
                result="ok" if not self._failures else "InvalidSignature",
                reason="gathered",
                count=self._count,
                failures=self._failures,
            )
        )
