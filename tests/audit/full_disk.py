"""Fills a small file system of its own, in a mount namespace of its own, makes room again, and makes it read-only."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from ron_kms.errors import StoreUnavailable
from tests.audit.place import Place, records
from tests.waiting import until

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 1, 32, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: bytes, target: Path, flags: int, options: bytes = b"") -> bool:
    return libc.mount(kind, os.fsencode(target), kind, flags, options) == 0  # type: ignore[no-any-return]


def main(folder: Path) -> None:
    if libc.unshare(_CLONE_NEWNS) or not mount(b"none", Path("/"), _MS_REC | _MS_PRIVATE):
        print("no mounts of our own here")
        sys.exit(77)
    place = Place(folder)
    place.audit.mkdir()
    if not mount(b"tmpfs", place.audit, 0, b"size=256k"):
        print("no tmpfs here")
        sys.exit(77)
    store = place.store()
    trail = place.open(store)
    done = 0
    try:
        while True:
            trail.append(records(done, 100)).result()
            done += 100
    except StoreUnavailable:
        pass
    assert trail.log.fault
    # It does not grow back by itself: what has filled the disk is the log.
    assert mount(b"tmpfs", place.audit, _MS_REMOUNT, b"size=8m")
    assert until(lambda: not trail.log.fault)
    trail.append(records(done, 100)).result()
    assert trail.close()
    trail = place.open(store)
    assert not trail.log.damage, trail.log.damage
    assert trail.log.size == done + 100
    assert [item for index in range(done // 256) for item in place.log().records(index, 256)] == records(
        0, done // 256 * 256
    )
    trail.close()
    store.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
