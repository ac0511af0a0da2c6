"""What is measured: one operation of one suite in batches of one size, by several contenders side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import msgspec

from ron_kms.crypto import suites as known
from ron_kms.crypto.suites import find

Operation = Literal[
    "generate", "sign", "verify", "wrap", "unwrap", "seal", "open", "load",
    "check", "check-new", "pass", "decode", "encode", "find", "run", "append",
]  # fmt: skip

_SIGNING: tuple[Operation, ...] = ("generate", "sign", "verify")
_WRAPPING: tuple[Operation, ...] = ("wrap", "unwrap")
_SEALING: tuple[Operation, ...] = ("seal", "open")
OPERATIONS: Mapping[str, tuple[Operation, ...]] = {
    "ed25519": (*_SIGNING, "load"),
    "ml-dsa-44": _SIGNING,
    "ml-dsa-65": _SIGNING,
    "ml-dsa-87": _SIGNING,
    find("sign", "hybrid").name: (*_SIGNING, "load"),
    "x25519": _WRAPPING,
    "ml-kem-768": _WRAPPING,
    "ml-kem-1024": _WRAPPING,
    find("wrap", "hybrid").name: (*_WRAPPING, "load"),
    "xchacha20-poly1305": _SEALING,
    "xaes-256-gcm": _SEALING,
    "token": ("check", "check-new"),
    "gate": ("pass",),
    "json": ("decode", "encode"),
    "msgpack": ("decode", "encode"),
    "cache": ("find",),
    "engine": ("run",),
    "audit": ("append",),
}
"""What is measured of each suite, and of each part of the service that a request passes besides."""
PARTS = tuple(name for name in OPERATIONS if name not in known.SUITES)
SUITES = tuple(suite for suite in OPERATIONS if suite in PARTS or known.SUITES[suite].available)
BATCHES = (1, 8, 64, 256, 1024)
THROUGH_LIBRARY = ("ed25519", "ml-dsa-65", find("sign", "hybrid").name)
"""Suites that are measured through SigningKey and VerifyKey as well."""

# A lap is what one contender does of a cell in one round: at least so many operations.
LAP_OPERATIONS = 64
PART_OPERATIONS = 256
PYCA_CALLS = 16


class Cell(msgspec.Struct, frozen=True):
    suite: str
    operation: Operation
    batch: int

    def __str__(self) -> str:
        return f"{self.operation} {self.suite} batch={self.batch}"

    @property
    def has_floor(self) -> bool:
        """Whether the loop in C can do this."""
        return self.operation in _SIGNING

    @property
    def calls(self) -> int:
        """Calls in one lap."""
        return max(1, (PART_OPERATIONS if self.suite in PARTS else LAP_OPERATIONS) // self.batch)

    @property
    def rounds(self) -> int:
        """Rounds in one pass over all cells: the short ones more often, for they are over sooner."""
        if self.operation == "generate":
            return 2 if self.batch <= 64 else 1
        return 6 if self.batch <= 64 else 3 if self.batch <= 256 else 1


FLOOR = Cell("ed25519", "sign", 64)
"""What a machine can do at that hour."""


class Lap(msgspec.Struct):
    """What one contender did in one round, in nanoseconds.

    :ivar calls: duration of each call, of all threads.
    :ivar cpu: processor time inside the calls, of all threads.
    :ivar span: from the first thread's start to the last one's end.
    :ivar free: what that would have been if other processes had left a processor free for every thread.
    :ivar operations: in all calls together.
    """

    calls: list[int]
    cpu: int
    span: int
    free: int
    operations: int


class Memory(msgspec.Struct):
    """What one call leaves and takes, an operation.

    :ivar blocks: of Python's allocations those that are alive when the call returns its result, as tracemalloc sees it.
    :ivar kept: their bytes.
    :ivar peak: most bytes of Python's at any time in the call.
    :ivar allocations: all that were made in the call, Python's and C's, as memray sees it; None where there is none.
    :ivar allocated: their bytes.
    """

    blocks: float
    kept: float
    peak: float
    allocations: float | None = None
    allocated: float | None = None


class Lane(msgspec.Struct):
    """One contender with a number of threads. Laps of a cell's lanes that have the same position belong together."""

    contender: str
    threads: int
    laps: list[Lap]
    memory: Memory | None = None


class CellLaps(msgspec.Struct):
    cell: Cell
    replay: bool
    lanes: list[Lane]


class Measured(msgspec.Struct):
    """All that one process measured."""

    metadata: dict[str, str | int | float]
    cells: list[CellLaps]


def cells(suites: Iterable[str], batches: Iterable[int]) -> list[Cell]:
    return [Cell(suite, operation, batch) for suite in suites for operation in OPERATIONS[suite] for batch in batches]
