"""The service under load: started on cores of its own, with keys and tokens for tenants, watched while it works."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

import httpx

from perf.load.wire import Request
from ron_kms.capabilities import caveats
from ron_kms.capabilities.tokens import attenuate

START_SECONDS = 60.0
SAMPLE_SECONDS = 0.2


@dataclass(frozen=True)
class Tenant:
    """A tenant, its token, and the paths it may load."""

    name: str
    token: str


@dataclass
class Usage:
    """What the service took of the machine during a run.

    :ivar cpu: seconds of its workers, and of all its processes.
    :ivar resident: most bytes of one worker, and of all its processes together.
    """

    workers_cpu: float
    all_cpu: float
    worker_resident: int
    all_resident: int
    files: int


class Service:
    """A running ``ron-kms serve`` with a data folder that is thrown away."""

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        self.endpoints: dict[str, Any] = json.loads((data_dir / "endpoints.json").read_text())
        self.admin = (data_dir / "admin.token").read_text().strip()
        url = httpx.URL(self.endpoints["http"])
        self.address = (url.host, url.port or 0)
        self.client = httpx.Client(
            base_url=url.join("/v1/kms/"), headers={"authorization": f"Bearer {self.admin}"}, timeout=30
        )

    def workers(self) -> list[int]:
        answer = httpx.get(f"{self.endpoints['operator']}/readyz").json()
        return [worker["pid"] for worker in answer["snapshot"]["workers"]]

    def tenant(self, name: str) -> Tenant:
        """A tenant with a token of its own, narrowed from the administrator's."""
        texts = caveats.write(tenant=name, expires=datetime.now(UTC) + timedelta(days=1))
        return Tenant(name, attenuate(self.admin, texts))

    def call(self, path: str, content: Mapping[str, Any]) -> Any:
        """One call as the administrator."""
        answer = self.client.post(path, json=content)
        answer.raise_for_status()
        return answer.json()

    def keys(self, tenant: Tenant, use: str, suite: str, count: int) -> list[str]:
        """Kids, with their version, of so many new keys."""
        fields = {"tenant": tenant.name, "purpose": "load", "use": use, "suite": suite}
        return [self.call("keys", fields)["kid"] for _ in range(count)]

    def request(self, tenant: Tenant, path: str, content: Mapping[str, Any], name: str = "") -> Request:
        """A prepared POST."""
        body = json.dumps(content, separators=(",", ":")).encode()
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", f"/v1/kms/{path}"),
            (":authority", f"{self.address[0]}:{self.address[1]}"),
            ("authorization", f"Bearer {tenant.token}"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
        )
        return Request(name or path, headers, body)


def digest(source: random.Random) -> str:
    """A digest as it stands in a request."""
    return base64.b64encode(source.randbytes(32)).decode()


class Place(NamedTuple):
    """How a service is started.

    :ivar under: a command that runs it, before its own words: ``("env", "NAME=value")``.
    :ivar inside: where its folder is made that is thrown away; None: where temporary files are.
    """

    under: Sequence[str] = ()
    inside: Path | None = None


HERE = Place()


@contextlib.contextmanager
def serving(cores: Sequence[int], place: Place = HERE, /, **settings: str) -> Iterator[Service]:
    """A service on these cores, with ``KMS_*`` settings by their names in small letters."""
    folder = Path(tempfile.mkdtemp(prefix="ron-kms-load-", dir=place.inside))
    data_dir = folder / "data"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KMS_")}
    environment = {
        **kept,
        "KMS_DATA_DIR": str(data_dir),
        "KMS_HTTP_ADDR": "127.0.0.1:0",
        "KMS_OPERATOR_ADDR": "127.0.0.1:0",
        "KMS_WORKERS": str(len(cores)),
        **{f"KMS_{name.upper()}": value for name, value in settings.items()},
    }
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*place.under, *pinned, sys.executable, "-m", "ron_kms.cli.main", "serve"],
            env=environment,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        _wait(process, data_dir / "endpoints.json", folder / "log")
        service = Service(process, data_dir)
        with service.client:
            yield service
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: subprocess.Popen[bytes], announced: Path, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while not announced.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError("the service did not start:\n" + log.read_text())
        time.sleep(0.02)


class Watch:
    """Samples a service's processes while it is open; ``usage`` afterwards."""

    def __init__(self, service: Service) -> None:
        self._supervisor = service.process.pid
        self._workers = service.workers()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._worker_resident = self._all_resident = self._files = 0

    def __enter__(self) -> Self:
        self._began = self._cpu()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        ended = self._cpu()
        self._stop.set()
        self._thread.join()
        self.usage = Usage(
            ended[0] - self._began[0],
            ended[1] - self._began[1],
            self._worker_resident,
            self._all_resident,
            self._files,
        )

    def _cpu(self) -> tuple[float, float]:
        workers = sum(map(_cpu, self._workers))
        return workers, workers + _cpu(self._supervisor)

    def _sample(self) -> None:
        while True:
            resident = [_resident(pid) for pid in self._workers]
            self._worker_resident = max(self._worker_resident, *resident)
            self._all_resident = max(self._all_resident, sum(resident) + _resident(self._supervisor))
            with contextlib.suppress(OSError):  # readable by root alone
                self._files = max(
                    self._files, *(sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()) for pid in self._workers)
                )
            if self._stop.wait(SAMPLE_SECONDS):
                return


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
