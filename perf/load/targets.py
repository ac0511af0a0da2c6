"""Latencies that are asked for: p95 at 70 % of what the service can do; and the figures of the performance profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Reference(NamedTuple):
    """What the performance profile has of one operation: milliseconds, and operations a second on two cores.

    :ivar limit: the p95 that must hold.
    :ivar ours: the p95 that this service sets itself, on Granian and with records that are written.
    :ivar p50: of its table of reference baselines, as ``p95``, ``p99`` and ``rate``; 0 where it has none.
    """

    limit: float
    ours: float
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    rate: int = 0


REFERENCES: Mapping[str, Reference] = {
    "sign ed25519": Reference(1.0, 1.0, 0.35, 0.85, 1.6, 11_500),
    "verify ed25519": Reference(1.0, 1.0, 0.20, 0.70, 1.2, 18_000),
    "verify ed25519, miss": Reference(5.0, 3.0, 0.90, 3.6, 6.8, 7_800),
    "sign ml-dsa-65": Reference(10.0, 3.0, 4.4, 9.2, 14.8, 1_800),
    "wrap ml-kem-768": Reference(6.0, 2.0, 2.8, 5.7, 9.9, 3_200),
    "unwrap ml-kem-768": Reference(6.0, 2.0),
}

SYNCS = 3
"""How many times of a sync a durable Ed25519 signature may wait beyond that."""
HYPERCORN_SIGN = 3.5


def ours(of: str, server: str, audit: str, sync: float) -> float:
    """The p95 that this service sets itself, in milliseconds.

    :param sync: the median time in which an appended record is on the disk.
    """
    if of != "sign ed25519":
        return REFERENCES[of].ours
    if server == "hypercorn":
        return HYPERCORN_SIGN
    return REFERENCES[of].ours + (SYNCS * sync if audit == "durable" else 0.0)
