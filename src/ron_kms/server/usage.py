"""What a process takes of the machine, as it sees itself: others may not look, for it is not dumpable."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import msgspec

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(msgspec.Struct, frozen=True):
    """One moment of one process.

    :ivar resident: bytes of memory.
    :ivar cpu_seconds: user and system, since it began.
    :ivar files: open descriptors; ``files_max`` how many may be.
    """

    resident: int
    cpu_seconds: float
    files: int
    files_max: int


def usage() -> Usage:
    """Of this process, now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - thousands of Path objects would be made to be counted
    return Usage(resident, time.process_time(), files, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
