"""Running steps one after the other: each with its log, none of which stops the others."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from perf.record import ROOT

SHORT_LIMIT, FULL_LIMIT = 1800.0, 14_400.0
"""Seconds after which a step is ended: it hangs."""
_LAST_LINES = 12


class Done(NamedTuple):
    """
    :ivar code: its exit code; None: it was ended, because it took too long.
    :ivar log: what it printed.
    """

    name: str
    code: int | None
    seconds: float
    log: Path

    @property
    def failed(self) -> bool:
        return self.code != 0


def run(name: str, command: Sequence[str], folder: Path, limit: float) -> Done:
    """Run Python with these words, say how it went, and show the end of its log where it failed."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    began = time.monotonic()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
    done = Done(name, code, time.monotonic() - began, log)
    word = "ok" if code == 0 else "took too long" if code is None else f"exit {code}"
    print(f"{name:44} {done.seconds:7.0f} s  {word}", flush=True)
    if done.failed:
        print("\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-_LAST_LINES:]))
    return done
