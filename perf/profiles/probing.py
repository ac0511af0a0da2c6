"""The other end of the probe: sends times into a worker's event loop while it is loaded, and gets what it found."""

from __future__ import annotations

import json
import os
import random
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from perf.profiles.probe.sitecustomize import REST, TRACK
from perf.record import ROOT

GAP_SECONDS = 0.005
"""Between two times on average; the gaps are exponential, so that no rhythm of the loop hides."""
PATIENCE_SECONDS = 30.0


class Probe:
    """For one service that is started with :meth:`under`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pipe = folder / "pipe"
        os.mkfifo(self._pipe)
        self._fd = -1

    def under(self) -> tuple[str, ...]:
        """The command before the service's own."""
        path = os.pathsep.join([str(ROOT / "perf" / "profiles" / "probe"), *filter(None, sys.path)])
        return ("env", f"RON_KMS_PROBE={self.folder}", f"PYTHONPATH={path}")

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Times, from a thread, as long as the context is open."""
        stop = threading.Event()
        thread = threading.Thread(target=self._send, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def track(self) -> None:
        """Begin to follow allocations."""
        self._tell(TRACK)

    def rest(self) -> Path:
        """End that, and give memray's file.

        :raises TimeoutError: the worker did not end it.
        """
        self._tell(REST)
        self._wait(self.folder / "heap.done")
        return self.folder / "heap.bin"

    def close(self) -> dict[str, list[float]]:
        """Milliseconds: ``loop``, how late it was at each time sent; ``gc``, how long each collection took.

        :raises TimeoutError: the worker did not tell.
        """
        os.close(self._open())
        told = self.folder / "told.json"
        self._wait(told)
        found: dict[str, list[float]] = json.loads(told.read_text())
        return found

    def _send(self, stop: threading.Event) -> None:
        source = random.Random(0)
        while not stop.wait(source.expovariate(1 / GAP_SECONDS)):
            self._tell(time.monotonic())

    def _tell(self, value: float) -> None:
        os.write(self._open(), struct.pack("d", value))

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = os.open(self._pipe, os.O_WRONLY)
        return self._fd

    def _wait(self, path: Path) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not path.exists():
            if time.monotonic() > end:
                raise TimeoutError(f"the worker left no {path.name}")
            time.sleep(0.02)
