"""File systems of a drill's own, which end with its process."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from perf.chaos.drill import NotHere

_CLONE_NEWNS = 0x00020000
_MS_REMOUNT, _MS_REC, _MS_PRIVATE, _MNT_DETACH = 32, 16384, 1 << 18, 2

_libc = ctypes.CDLL(None, use_errno=True)
_private = False


def privately() -> None:
    """From now on mounts are seen by this process and its children alone, where the system lets it."""
    global _private  # noqa: PLW0603 - it is the process that has such a namespace
    if _private or os.geteuid():
        return
    if _libc.unshare(_CLONE_NEWNS) == 0 and _mount(b"none", Path("/"), _MS_REC | _MS_PRIVATE):
        _private = True


def tmpfs(target: Path, size: str) -> None:
    """A file system in memory of this size, such as ``16m``; given again, it is resized.

    :raises NotHere: it cannot be mounted here.
    """
    if not _private:
        raise NotHere("it needs root and a mount namespace of its own")
    flags = _MS_REMOUNT if os.path.ismount(target) else 0
    if not _mount(b"tmpfs", target, flags, f"size={size}".encode()):
        raise NotHere(f"no tmpfs can be mounted: {os.strerror(ctypes.get_errno())}")


def unmount(target: Path) -> None:
    _libc.umount2(os.fsencode(target), _MNT_DETACH)


def _mount(kind: bytes, target: Path, flags: int, options: bytes = b"") -> bool:
    return bool(_libc.mount(kind, os.fsencode(target), kind, flags, options) == 0)
