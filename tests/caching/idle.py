"""A process that fills a cache of keys and lets them age out; prints its resident memory as parts of what they took."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

from ron_kms.crypto.suites import SUITES
from ron_kms.keys.directory import Bounds, Directory
from ron_kms.model import Key, Version, new_uuid
from ron_kms.server.memory import Slack
from ron_kms.store.horizon import Horizon
from tests.caching.parts import NOW, Clock, block

SUITE = SUITES["ed25519+ml-dsa-65"]
KEYS = 8000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    clock = Clock()
    directory = Directory(None, None, block, Horizon(), Bounds(), clock)  # type: ignore[arg-type]
    before = resident()
    kept = []
    for number in range(KEYS):
        public = tuple(number.to_bytes(4, "big") + bytes(size - 4) for size in SUITE.scheme.public_sizes)
        key = Key("acme", "audit", new_uuid(), "sign", False, {}, 1, NOW)
        directory.remember(key, Version(1, SUITE.name, "enabled", public, b"", NOW), 1)
        if number % 50 == 0:
            kept.append(bytes(700))  # what else lives in between
    full = directory.counts().bytes
    filled = resident() - before
    clock.now += 601
    while directory.tend().entries:
        pass
    assert directory.swept == full
    asyncio.run(Slack().give_back(directory.swept))
    print(json.dumps({"filled": filled / full, "left": (resident() - before) / full}))


if __name__ == "__main__":
    main()
