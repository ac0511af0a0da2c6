"""How long a disk takes for a sync, right now: durable answers wait for it."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

APPENDS = 20
BYTES = 256


def sync_ms(folder: Path) -> float:
    """Milliseconds in which an appended record is on the disk (fdatasync), median of some."""
    path = folder / "sync"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return statistics.median(_append(descriptor) for _ in range(APPENDS))
    finally:
        os.close(descriptor)
        path.unlink()


def _append(descriptor: int) -> float:
    began = time.perf_counter()
    os.write(descriptor, bytes(BYTES))
    os.fdatasync(descriptor)
    return (time.perf_counter() - began) * 1e3
