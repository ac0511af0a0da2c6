"""py-spy on a worker that is loaded: its stacks by function, in order of time and summed up, and as a drawing."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from perf.profiles.stacks import WITHOUT_PYTHON, Stack, without_way

RATE, NATIVE_RATE = 200, 20
"""Samples a second. With native frames each stops the process for milliseconds: few, or it does nothing else."""


class NoSpy(Exception):
    """py-spy may not look here; says why."""


def record(pid: int, seconds: float, out: Path, *, native: bool = False) -> None:
    """Write what speedscope opens.

    :param native: with frames of C and Rust, and of threads that wait.
    :raises NoSpy: it is not installed, or may not look at other processes.
    """
    rate = NATIVE_RATE if native else RATE
    # Without native frames it reads the stacks while they run. A process that is stopped for each sample looks busy:
    # all its threads wake up for that.
    options = ["--native", "--idle"] if native else ["--nonblocking"]
    command = ["py-spy", "record", "--pid", str(pid), "--duration", f"{max(1, round(seconds))}", "--rate", str(rate)]
    try:
        done = subprocess.run(
            [*command, "--format", "speedscope", "--threads", "--output", str(out), *options],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise NoSpy("py-spy is not installed") from None
    if done.returncode or not out.exists():
        raise NoSpy((done.stderr or done.stdout).strip().splitlines()[-1])


def stacks(path: Path) -> list[Stack]:
    """Sum up a speedscope file: lines of a function count as one."""
    content = json.loads(path.read_text())
    names = [_frame(one) for one in content["shared"]["frames"]]
    found: Counter[tuple[str, tuple[str, ...]]] = Counter()
    for profile in content["profiles"]:
        thread = _thread(profile["name"])
        for frames in profile["samples"]:
            found[thread, tuple(name for number in frames if (name := names[number]) is not None)] += 1
    return [Stack(thread, frames, samples) for (thread, frames), samples in found.most_common()]


def collapsed(summed: Sequence[Stack]) -> str:
    """As flamegraph.pl and others read it."""
    return "".join(f"{one.thread};{';'.join(one.frames)} {one.weight:g}\n" for one in summed)


def _frame(one: dict[str, Any]) -> str | None:
    """``function (file)``; None for the frame that names the thread once more."""
    if one["name"].startswith("thread ("):
        return None
    file = without_way(one.get("file") or "?")
    name = f"[{file.rpartition('/')[2]}]" if one["name"].startswith("0x") else one["name"]
    return f"{name} ({file})".replace(";", ":")


def _thread(told: str) -> str:
    """``Thread 12 "crypto_0"`` by its name."""
    match = re.search(r'"(.+)"', told)
    return match[1] if match else WITHOUT_PYTHON
