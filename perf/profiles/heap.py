"""What memray saw of a worker: allocations an operation, the highest, and who made them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from perf.profiles.detail import Heap
from perf.profiles.stacks import without_way

PLACES = 20


def read(path: Path, operations: int) -> Heap:
    """Sum up memray's file.

    :raises RuntimeError: memray cannot read it.
    """
    out = path.with_suffix(".json")
    command = [
        sys.executable,
        "-m",
        "memray",
        "stats",
        "--json",
        "--force",
        "-n",
        str(PLACES),
        "-o",
        str(out),
        str(path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError("memray: " + done.stderr.strip())
    told = json.loads(out.read_text())
    sizes = {one["location"]: float(one["size"]) for one in told["top_allocations_by_size"]}
    counts = {one["location"]: float(one["count"]) for one in told["top_allocations_by_count"]}
    places = tuple(
        (_short(place), round(counts[place] / operations, 3), round(sizes.get(place, 0.0) / operations, 1))
        for place in sorted(counts, key=lambda one: -counts[one])
    )
    return Heap(
        operations,
        round(told["total_num_allocations"] / operations, 2),
        round(told["total_bytes_allocated"] / operations, 1),
        round(told["metadata"]["peak_memory"] / 2**20, 2),
        places,
    )


def _short(place: str) -> str:
    """``read:/long/way/ron_kms/api/http/body.py:141`` without the way."""
    name, _, file = place.partition(":")
    return f"{name} ({without_way(file)})" if file else place
