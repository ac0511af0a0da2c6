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

from perf.load import profiles, transports
from perf.load.transports import Transport
from perf.load.usage import Sample, Usage, files_limit, open_files, processor_seconds, resident_bytes
from perf.load.wire import Request
from ron_kms.capabilities import caveats
from ron_kms.capabilities.tokens import attenuate

START_SECONDS = 60.0
SAMPLE_SECONDS = 0.2
COUNTERS = ("kms_ops_total", "kms_reject_total", "rejected_total", "verify_cache_", "kms_audit_appends_total")
"""The metrics that a run is told with."""


@dataclass(frozen=True)
class Tenant:
    """A tenant, its token, and the paths it may load."""

    name: str
    token: str


class Service:
    """A running ``ron-kms serve`` with a data folder that is thrown away.

    :param cores: that it is bound to.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], data_dir: Path, cores: Sequence[int], transport: Transport
    ) -> None:
        self.process = process
        self.cores = tuple(cores)
        self.transport = transport
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

    def payload(self, request: Request) -> int:
        """Bytes of the bodies of a request and of its answer."""
        path = request.path.removeprefix(self.client.base_url.path)
        answer = self.client.post(path, content=request.content, headers={"content-type": "application/json"})
        answer.raise_for_status()
        return len(request.content) + len(answer.content)

    def keys(self, tenant: Tenant, use: str, suite: str, count: int) -> list[str]:
        """Kids, with their version, of so many new keys."""
        fields = {"tenant": tenant.name, "purpose": "load", "use": use, "suite": suite}
        return [self.call("keys", fields)["kid"] for _ in range(count)]

    def request(self, tenant: Tenant, path: str, content: Mapping[str, Any], name: str = "") -> Request:
        """A prepared call."""
        return self.transport.prepare(self.address, tenant.token, path, content, name or path)

    def counters(self) -> dict[str, float]:
        """What its counters stand at, by name and labels as ``/metrics`` has them."""
        lines = httpx.get(f"{self.endpoints['operator']}/metrics").text.splitlines()
        counted = (line.rpartition(" ") for line in lines if line.startswith(COUNTERS))
        return {name: float(value) for name, _, value in counted}


def digest(source: random.Random) -> str:
    """A digest as it stands in a request."""
    return base64.b64encode(source.randbytes(32)).decode()


class Place(NamedTuple):
    """How a service is started.

    :ivar under: a command that runs it, before its own words: ``("env", "NAME=value")``.
    :ivar inside: where its folder is made that is thrown away; None: where temporary files are.
    :ivar tree: whose ``src`` it runs; None: this one's.
    :ivar python: that runs it; another environment's has another build of the core.
    :ivar transport: what its requests travel by, in ``perf/load/transports``.
    :ivar profile: where it keeps keys, in ``perf/load/profiles``.
    """

    under: Sequence[str] = ()
    inside: Path | None = None
    tree: Path | None = None
    python: Path = Path(sys.executable)
    transport: str = "http2"
    profile: str = "file"


HERE = Place()


@contextlib.contextmanager
def serving(cores: Sequence[int], place: Place = HERE, /, **settings: str) -> Iterator[Service]:
    """A service on these cores, with ``KMS_*`` settings by their names in small letters.

    :raises LookupError: there is no such transport or profile.
    """
    transport = transports.find(place.transport)
    settings = profiles.settings(place.profile) | settings
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
    if place.tree is not None:
        environment["PYTHONPATH"] = str(place.tree / "src")
    pinned = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*place.under, *pinned, str(place.python), "-m", "ron_kms.cli.main", "serve"],
            env=environment,
            cwd=place.tree,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        _wait(process, data_dir / "endpoints.json", folder / "log")
        service = Service(process, data_dir, cores, transport)
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
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._started = time.perf_counter()
        self._began = self._cpu()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        ended, seconds = self._cpu(), time.perf_counter() - self._started
        self._stop.set()
        self._thread.join()
        samples = self._samples
        self.usage = Usage(
            ended[0] - self._began[0],
            ended[1] - self._began[1],
            max(one.worker_resident for one in samples),
            max(one.all_resident for one in samples),
            max(one.files for one in samples),
            files_limit(self._workers[0]),
            seconds,
            samples,
        )

    def _cpu(self) -> tuple[float, float]:
        workers = sum(map(processor_seconds, self._workers))
        return workers, workers + processor_seconds(self._supervisor)

    def _watch(self) -> None:
        while True:
            self._samples.append(self._sample())
            if self._stop.wait(SAMPLE_SECONDS):
                return

    def _sample(self) -> Sample:
        resident = [resident_bytes(pid) for pid in self._workers]
        return Sample(
            time.perf_counter() - self._started,
            self._cpu()[0] - self._began[0],
            max(resident),
            sum(resident) + resident_bytes(self._supervisor),
            max(map(open_files, self._workers)),
        )
