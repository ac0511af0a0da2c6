"""The cache of keys."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from perf.micro.cells import Cell
from perf.micro.contenders import windows
from perf.micro.material import MESSAGES
from perf.micro.parts.calls import Calls
from ron_kms.keys.directory import Directory, Entry
from ron_kms.model import Key, Kid, Version, new_uuid
from ron_kms.store.bootstrap import open_store
from ron_kms.store.horizon import Horizon


def find(cell: Cell) -> Calls:
    """Public keys that are in the cache, by kids with their version. Floor: a dictionary's look-up."""
    with TemporaryDirectory(prefix="ron-kms-micro-") as folder:
        store = open_store(f"sqlite:///{folder}/keys.db", f"keyfile:{folder}/root.key")
        directory = Directory(store.database, store.rows, _nobody_waits, Horizon())
        store.close()  # what is cached needs none
    kids = [_enter(directory) for _ in range(MESSAGES)]
    plain = dict.fromkeys(kids)
    return Calls(
        [partial(_find_all, directory, window) for [window] in windows(cell.batch, kids)],
        [partial(_get_all, plain, window) for [window] in windows(cell.batch, kids)],
    )


def _enter(directory: Directory) -> Kid:
    now = datetime.now(UTC)
    key = Key("bench", "micro", new_uuid(), "sign", False, {}, 1, now)
    return directory.remember(key, Version(1, "ed25519", "enabled", (bytes(32),), b"", now), 0).kid


def _find_all(directory: Directory, kids: Sequence[Kid]) -> list[Entry]:
    found = [directory.cached(kid) for kid in kids]
    return [entry for entry in found if entry is not None]


def _get_all(plain: Mapping[Kid, object], kids: Sequence[Kid]) -> list[object]:
    return [plain[kid] for kid in kids]


def _nobody_waits(_: Future[Any]) -> Awaitable[Any]:
    raise RuntimeError("the store was asked for what is in the cache")
