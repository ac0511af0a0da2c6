"""Libraries of ours before the system's, compiled when a drill needs them, that lie as they are told."""

from __future__ import annotations

import contextlib
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from perf.chaos.drill import NotHere
from perf.load.service import Place

SOURCES = Path(__file__).parent / "preload"


class Preloaded:
    """One of them, and its switch.

    :ivar place: how a service is started with it.
    """

    def __init__(self, library: Path, switch: Path) -> None:
        self._switch = switch
        self.place = Place(("env", f"LD_PRELOAD={library}", f"RON_KMS_CHAOS={switch}"))
        self._switch.write_bytes(bytes(8))

    def set(self, seconds: float) -> None:
        """Have it use this time from now on."""
        with self._switch.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", round(seconds * 1e6)))


@contextlib.contextmanager
def preloaded(name: str) -> Iterator[Preloaded]:
    """The library of ``preload/<name>.c``; its time is 0 at first.

    :raises NotHere: it cannot be compiled.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotHere("there is no C compiler (cc)")
    with tempfile.TemporaryDirectory(prefix="ron-kms-chaos-") as folder:
        library = Path(folder) / f"{name}.so"
        command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCES / f"{name}.c"), "-ldl"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotHere(f"{name}.c does not compile: {done.stderr}")
        yield Preloaded(library, Path(folder) / "told")
