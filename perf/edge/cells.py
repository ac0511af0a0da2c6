"""What is measured: one kind of request, so many of them at a time, with a log or without."""

from __future__ import annotations

from typing import Literal

import msgspec

Operation = Literal["sign", "verify", "verify-miss", "wrap", "unwrap", "seal", "open"]
Audit = Literal["off", "written", "durable"]

SUITES: dict[Operation, str] = {
    "sign": "ed25519",
    "verify": "ed25519",
    "verify-miss": "ed25519",
    "wrap": "x25519+ml-kem-768",
    "unwrap": "x25519+ml-kem-768",
    "seal": "xchacha20-poly1305",
    "open": "xchacha20-poly1305",
}
BATCHES = (1, 8, 64, 256, 1024)
IN_FLIGHT = 64
MOST = max(BATCHES)


class Cell(msgspec.Struct, frozen=True):
    """One kind of request.

    :ivar operation: ``verify``: the cache has the key; ``verify-miss``: the cache has none of its keys, and the store
        is asked.
    :ivar in_flight: how many at a time.
    :ivar items: of a request, one: the call for single ones, more: that for batches; all figures are by item.
    :ivar audit: ``durable``: answers wait for their records to be on the disk; ``written``: to be with the kernel;
        ``off``: nothing is recorded, which no service does.
    """

    operation: Operation
    in_flight: int
    items: int
    audit: Audit = "off"

    @property
    def suite(self) -> str:
        return SUITES[self.operation]

    @property
    def verb(self) -> str:
        return "verify" if self.operation == "verify-miss" else self.operation

    def __str__(self) -> str:
        log = "" if self.audit == "off" else f", {self.audit} audit"
        return f"{self.operation} {self.suite} batch={self.items}, {self.in_flight} in flight{log}"


FITTING = 512
"""So many wrapped keys of X-Wing are less than the 1 MiB that a body may have; 1,024 are more."""

CELLS = (
    *(
        Cell(operation, 1, min(items, FITTING) if operation == "unwrap" else items)
        for operation in SUITES
        for items in BATCHES
    ),
    *(Cell(operation, IN_FLIGHT, 1) for operation in SUITES),
    Cell("sign", 8, 256),
    Cell("sign", 1, 1, "written"),
    Cell("sign", IN_FLIGHT, 1, "written"),
    Cell("sign", 1, 1, "durable"),
    Cell("sign", IN_FLIGHT, 1, "durable"),
    Cell("sign", 1, 256, "durable"),
)

FLOOR = Cell("sign", 1, 64)
"""The cell whose core alone tells what the machine can do at that hour."""
LIMITS = {("off", 1): 30.0, ("off", IN_FLIGHT): 30.0, ("durable", IN_FLIGHT): 50.0}
"""Microseconds that a single signature may cost over its cryptography, by audit log and requests in flight."""
