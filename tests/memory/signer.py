"""The parent's side of :mod:`tests.memory.signing`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from tests.core.child import ROOT
from tests.memory.stored import Opened, open_store


class Signer:
    """A process that signs with the keys of a store in ``folder``; it ends with the ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self._database, self._keyfile = folder / "keys.db", folder / "root.key"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.memory.signing", str(self._database), str(self._keyfile)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def do(self, what: str, arguments: list[str] | None = None) -> Any:
        """One command, and its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, "kids": arguments or []}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def secrets(self) -> Opened:
        """What the store holds, read without the process."""
        return open_store(self._database, self._keyfile)

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        assert self._answer() == "ready"
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._process.communicate(timeout=10)
        finally:
            self._process.kill()
