"""What the kernel tells of a process's threads: processor time, time in which they were ready and did not run."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from perf.profiles.detail import Thread
from perf.profiles.stacks import WITHOUT_PYTHON, Stack

RUNS, LOCK, DISK, IDLE = "runs", "waits for the lock", "waits for the disk", "idle"
"""The states of a thread that is sampled; the lock is the interpreter's."""

_LOCK = ("pthread_cond_timedwait", "take_gil")
_DISK = ("fdatasync", "fsync")
_IDLE = ("epoll_", "poll ", "select ", "syscall ", "PyThread_acquire_lock_timed", "nanosleep", "clock_nanosleep")


class Taken(NamedTuple):
    """
    :ivar cpu: nanoseconds that it ran.
    :ivar queued: nanoseconds that it was ready and did not run.
    :ivar switches: how often it left the processor.
    """

    name: str
    cpu: int
    queued: int
    switches: int


def taken(pid: int, known: Mapping[int, str]) -> dict[int, Taken]:
    """By thread, since it began.

    :param known: names of the threads that have one.
    """
    found = {}
    for folder in Path(f"/proc/{pid}/task").iterdir():
        try:
            cpu, queued, _ = map(int, (folder / "schedstat").read_text().split())
            switches = sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", (folder / "status").read_text())))
        except OSError:  # it has ended
            continue
        found[int(folder.name)] = Taken(known.get(int(folder.name), WITHOUT_PYTHON), cpu, queued, switches)
    return found


def between(
    before: Mapping[int, Taken], after: Mapping[int, Taken], operations: int, states: Mapping[str, dict[str, float]]
) -> list[Thread]:
    """What the threads of each name took an operation; those first that took most.

    :param states: by the name of a thread.
    """
    summed: dict[str, list[int]] = {}
    for number, now in after.items():
        was = before.get(number, Taken(now.name, 0, 0, 0))
        row = summed.setdefault(now.name, [0, 0, 0])
        for place, (new, old) in enumerate(zip(now[1:], was[1:], strict=True)):
            row[place] += int(new) - int(old)
    threads = [
        Thread(
            name,
            round(cpu / 1e3 / operations, 3),
            round(queued / 1e3 / operations, 3),
            round(switches / operations, 4),
            states.get(name, {}),
        )
        for name, (cpu, queued, switches) in summed.items()
    ]
    return sorted(threads, key=lambda one: -one.cpu)


def states(native: Sequence[Stack]) -> dict[str, dict[str, float]]:
    """Shares of a thread's samples with native frames, by its name."""
    counts: dict[str, Counter[str]] = {}
    for one in native:
        counts.setdefault(one.thread, Counter())[state(one.frames)] += round(one.weight)
    return {
        thread: {state: round(found[state] / found.total(), 3) for state in (RUNS, LOCK, DISK, IDLE)}
        for thread, found in counts.items()
    }


def state(frames: Sequence[str]) -> str:
    """By the innermost frames; C libraries without symbols leave those without a name."""
    inner = frames[-6:]
    if any(one.startswith(_LOCK) for one in inner):
        return LOCK
    if any(one.startswith(_DISK) for one in inner):
        return DISK
    if any(one.startswith(_IDLE) for one in inner):
        return IDLE
    return RUNS


def names(pid: int) -> dict[int, str]:
    """Of the threads that Python knows; empty where py-spy cannot look."""
    try:
        command = ["py-spy", "dump", "--pid", str(pid), "--json"]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return {}
    return {one["os_thread_id"]: one["thread_name"] for one in told if one["os_thread_id"] and one["thread_name"]}
