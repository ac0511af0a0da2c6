"""What processes take of the machine."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


class Sample(NamedTuple):
    """The service's processes at one moment.

    :ivar at: seconds since the watch began.
    :ivar workers_cpu: seconds of processor time that the workers have taken since then.
    :ivar worker_resident: bytes of the largest worker; ``all_resident``: of all processes together.
    :ivar files: descriptors of the worker that has most.
    """

    at: float
    workers_cpu: float
    worker_resident: int
    all_resident: int
    files: int


@dataclass
class Usage:
    """What the service took of the machine during a run.

    :ivar workers_cpu: seconds of its workers; ``all_cpu``: of all its processes.
    :ivar worker_resident: most bytes of one worker; ``all_resident``: of all its processes together.
    :ivar files: most descriptors of one worker; ``files_limit``: how many it may have.
    :ivar seconds: how long it was watched.
    """

    workers_cpu: float
    all_cpu: float
    worker_resident: int
    all_resident: int
    files: int
    files_limit: int
    seconds: float
    samples: list[Sample]


def processor_seconds(pid: int) -> float:
    """Seconds of processor time of all threads, those that have ended included; 0 where there is no such process."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # a process's own clock, clock_getcpuclockid(3)
    except OSError:
        return 0.0


def open_files(pid: int) -> int:
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # readable by root alone
        return 0


def files_limit(pid: int) -> int:
    """How many descriptors it may have; 0 where that cannot be read."""
    try:
        return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]
    except OSError:
        return 0


def resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
