"""A real service: ``ron-kms serve`` as a process of its own, on free ports, with a data folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from ron_kms.crypto.suites import SUITES
from ron_kms.errors import codes
from ron_kms.service.pipeline import OPERATIONS
from tests.counts import SERVER
from tests.e2e.quiet import told
from tests.e2e.wire import Client

NAMES = {*SUITES, *codes(), *(operation.name for operation in OPERATIONS)}
"""Long words that logs may have, and the OpenAPI document too."""

COMMAND = [str(Path(sys.executable).with_name("ron-kms")), "serve"]


class Service:
    """Started by ``with`` or :meth:`start`; may be stopped, killed and started again over the same data.

    :param settings: further ``KMS_*`` settings, named without the prefix in lower case.
    """

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.data_dir = data_dir
        self.log = data_dir.with_suffix(".log")
        addresses = {"http_addr": "127.0.0.1:0", "operator_addr": "127.0.0.1:0"}
        # Freshness has tests of its own; a machine that runs many tests may stall for a second.
        self._settings = {
            "workers": 1,
            "server": SERVER,
            "freshness_ms": 10_000,
            "log_level": "debug",
            **addresses,
            **settings,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        found = told(self.log.read_text(), names=NAMES)
        assert not found, f"the log tells what it should not: {found}"

    def start(self, *, ready: bool = True) -> None:
        """Returns when the service says that it is ready, or else that it is there.

        In a process group of its own, so that nothing of it is left when the tests end.
        """
        endpoints = self.data_dir / "endpoints.json"
        endpoints.unlink(missing_ok=True)
        clean = {name: value for name, value in os.environ.items() if not name.startswith("KMS_")}
        settings = {f"KMS_{name.upper()}": str(value) for name, value in self._settings.items()}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                COMMAND,
                env={**clean, "KMS_DATA_DIR": str(self.data_dir), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if endpoints.exists() and (not ready or self._ready()):
                return
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"the service did not start:\n{self.log.read_text()[-4000:]}")

    def _ready(self) -> bool:
        with Client(self.operator_url) as client:
            try:
                return client.call("GET", "/readyz", token=None).status == 200
            except OSError:
                return False

    @property
    def _endpoints(self) -> dict[str, str]:
        endpoints: dict[str, str] = json.loads((self.data_dir / "endpoints.json").read_text())
        return endpoints

    @property
    def url(self) -> str:
        """Of the API."""
        return self._endpoints["http"]

    @property
    def operator_url(self) -> str:
        return self._endpoints["operator"]

    @property
    def token(self) -> str:
        """The administrator's."""
        return (self.data_dir / "admin.token").read_text().strip()

    @property
    def pid(self) -> int:
        """The supervisor's."""
        assert self._process is not None
        return self._process.pid

    def client(self, token: str | None = None, **options: Any) -> Client:
        """A connection of its own, with the administrator's token unless another is given."""
        return Client(self.url, self.token if token is None else token, **options)

    def stop(self, seconds: float = 15) -> int:
        """SIGTERM, and the exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL to every process of it, as when the machine loses power."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)
