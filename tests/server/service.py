"""A real ``ron-kms serve`` in processes of its own, on free ports, with a data folder that is thrown away."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.counts import SERVER
from tests.waiting import until

DIGEST = "E5rDicao8w/G1ngXjluE8fLAw8FJge9WaaMSgbxfoeA="


def gone(process: psutil.Process) -> bool:
    """Whether it has ended, though nobody may have taken note of it yet."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def environment(data_dir: Path, **settings: str) -> dict[str, str]:
    """This process's environment with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KMS_")}
    addresses = {"KMS_HTTP_ADDR": "127.0.0.1:0", "KMS_OPERATOR_ADDR": "127.0.0.1:0", "KMS_DATA_DIR": str(data_dir)}
    # Freshness has tests of its own; a machine that runs many tests may stall for a second.
    patience = {"KMS_FRESHNESS_MS": "10000", "KMS_SERVER": SERVER}
    return {**kept, **addresses, **patience, **{f"KMS_{name.upper()}": value for name, value in settings.items()}}


class Service:
    """A started service; its output is in files beside the data folder."""

    def __init__(self, data_dir: Path, **settings: str) -> None:
        self.data_dir = data_dir
        self.out = data_dir.parent / f"{data_dir.name}.out"
        self.err = data_dir.parent / f"{data_dir.name}.err"
        with self.out.open("ab") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ron_kms.cli.main", "serve"],
                env=environment(data_dir, **settings),
                stdout=out,
                stderr=err,
                process_group=0,
            )

    def wait_ready(self, seconds: float = 30.0) -> None:
        file = self.data_dir / "endpoints.json"

        def announced() -> bool:
            return file.exists() and json.loads(file.read_text())["pid"] == self.process.pid

        assert until(lambda: announced() or self.process.poll() is not None, seconds), "not ready in time"
        assert self.process.poll() is None, self.err.read_text()
        self.endpoints = json.loads(file.read_text())

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        """Their pids, by slot."""
        return [worker["pid"] for worker in self.readyz().json()["snapshot"]["workers"]]

    def readyz(self) -> httpx.Response:
        return httpx.get(f"{self.endpoints['operator']}/readyz", timeout=5)

    @property
    def token(self) -> str:
        return (self.data_dir / "admin.token").read_text().strip()

    def client(self, **options: Any) -> httpx.Client:
        """By prior knowledge of HTTP/2, as the administrator."""
        return httpx.Client(
            base_url=f"{self.endpoints['http']}/v1/kms",
            headers={"authorization": f"Bearer {self.token}"},
            **{"http1": False, "http2": True, "timeout": 10, **options},
        )

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.err.read_text().splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


def create(client: httpx.Client, tenant: str = "acme", **fields: Any) -> str:
    request = {"tenant": tenant, "purpose": "test", "use": "sign", "suite": "hybrid", **fields}
    answer = client.post("/keys", json=request)
    assert answer.is_success, answer.text
    return str(answer.json()["kid"])


@contextlib.contextmanager
def serving(data_dir: Path, **settings: str) -> Iterator[Service]:
    """A ready service; afterwards none of its processes is left, however the test ended."""
    service = Service(data_dir, **settings)
    family: list[psutil.Process] = []
    try:
        service.wait_ready()
        family = psutil.Process(service.pid).children(recursive=True)
        yield service
    finally:
        if service.process.poll() is None:
            with contextlib.suppress(psutil.NoSuchProcess):
                family += psutil.Process(service.pid).children(recursive=True)
            service.process.terminate()
            try:
                service.process.wait(15)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait(5)
        until(lambda: all(gone(process) for process in family), 3)
        left = [process for process in family if not gone(process)]
        for process in left:
            process.kill()
        assert left == [], "processes were left behind"
