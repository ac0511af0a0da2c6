"""What ``/metrics`` tells of the processes and of readiness, as Prometheus reads it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from ron_kms.server.exposition import FAMILIES
from ron_kms.server.readiness import NEEDED, WISHED
from tests.server.service import Service, create, serving
from tests.waiting import until

Samples = dict[tuple[str, str], float]


def _scrape(service: Service) -> Samples:
    """Values by name and the one label that the supervisor's metrics have."""
    text = httpx.get(f"{service.endpoints['operator']}/metrics").text
    names = {family.name for family in FAMILIES}
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in names
    }


def test_processes_and_readiness(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="2") as service:
        seen = _scrape(service)
        assert {name for name, _ in seen} == {family.name for family in FAMILIES}
        assert seen["kms_ready", ""] == 1
        assert [seen["kms_keys_total", use] for use in ("sign", "wrap", "seal")] == [0, 0, 0]
        assert {label for name, label in seen if name == "kms_readiness"} == {*NEEDED, *WISHED}
        for process in ("supervisor", "worker-0", "worker-1"):
            assert 20e6 < seen["kms_process_resident_bytes", process] < 200e6
            assert seen["kms_process_cpu_seconds_total", process] > 0
            assert 5 < seen["kms_process_open_files", process] < seen["kms_process_open_files_max", process]

        os.kill(service.workers()[1], signal.SIGKILL)
        assert until(lambda: _scrape(service)["kms_worker_restarts_total", "worker-1"] == 1)
        assert until(lambda: _scrape(service)["kms_ready", ""] == 1)


def test_a_stopped_worker_shows(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        [worker] = service.workers()
        os.kill(worker, signal.SIGSTOP)
        try:
            assert until(lambda: _scrape(service)["kms_ready", ""] == 0)
            assert _scrape(service)["kms_readiness", "store_ready"] == 0
        finally:
            os.kill(worker, signal.SIGCONT)
        assert until(lambda: _scrape(service)["kms_ready", ""] == 1)


def test_keys_are_counted_by_use(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        with service.client() as client:
            create(client, suite="ed25519")
        assert _scrape(service)["kms_keys_total", "sign"] == 1
