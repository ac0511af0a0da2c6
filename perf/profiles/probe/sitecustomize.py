"""Runs inside a worker that is measured: tells how late its event loop is, and follows its allocations.

Python imports a module of this name when it starts. It does something in a worker only, and there only where
``RON_KMS_PROBE`` names a folder with a pipe in it, through which perf/profiles/probing.py sends times.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import struct
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

TRACK, REST = -1.0, -2.0
"""Sent in the place of a time: begin to follow allocations, and end it."""


class Probe:
    """Reads times from the pipe, each of which says when it was sent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._late: list[float] = []
        self._pauses: list[float] = []
        self._collecting = 0.0
        self._tracker: Any = None

    def open(self) -> None:
        """On the loop that runs."""
        self._pipe = os.open(self._folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        asyncio.get_running_loop().add_reader(self._pipe, self._take)
        gc.callbacks.append(self._collected)

    def _take(self) -> None:
        content, now = os.read(self._pipe, 4096), time.monotonic()
        for (sent,) in struct.iter_unpack("d", content):
            if sent == TRACK:
                self._track()
            elif sent == REST:
                self._rest()
            else:
                self._late.append((now - sent) * 1e3)
        if not content:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            part = self._folder / "told.part"
            part.write_text(json.dumps({"loop": self._late, "gc": self._pauses}))
            part.rename(self._folder / "told.json")

    def _collected(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._collecting = time.monotonic()
        else:
            self._pauses.append((time.monotonic() - self._collecting) * 1e3)

    def _track(self) -> None:
        import memray  # noqa: PLC0415 - it takes memory itself

        self._tracker = memray.Tracker(self._folder / "heap.bin", trace_python_allocators=True)
        self._tracker.__enter__()

    def _rest(self) -> None:
        self._tracker.__exit__(None, None, None)
        (self._folder / "heap.done").touch()


def _install(folder: Path) -> None:
    original = asyncio.Runner.run

    def run(self: asyncio.Runner, work: Coroutine[Any, Any, Any], **options: Any) -> Any:
        async def probed() -> Any:
            Probe(folder).open()
            return await work

        return original(self, probed(), **options)

    setattr(asyncio.Runner, "run", run)  # noqa: B010 - a method of another's class


if "RON_KMS_PROBE" in os.environ and "ron_kms.server.worker" in sys.orig_argv:
    _install(Path(os.environ["RON_KMS_PROBE"]))
