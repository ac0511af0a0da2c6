"""What is counted, in one process and over the slots of several."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from ron_kms.metrics import TENANTS_SHOWN, Metrics
from tests.api.drive import ALL, JSON, Edge, Stream, chunked

WORKER = """
import sys
from pathlib import Path
from ron_kms import metrics

metrics.use_slot(Path(sys.argv[1]), int(sys.argv[2]))
worker = metrics.Metrics()
for _ in range(3):
    worker.done("sign", "ed25519", "ok", 2)
worker.answered("sign", "ed25519", 0.0009)
worker.inflight("sign")(1)
worker.batch("sign:batch", 64)
worker.refused("TooLarge")
worker.reject("bad_signature")
"""


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_requests_are_counted_by_outcome(runner: asyncio.Runner) -> None:
    metrics = Metrics()
    edge = Edge(runner, metrics=metrics)
    edge.post("/v1/kms/things", {"name": "a"})
    edge.post("/v1/kms/things:batch", {"items": [{"name": "a"}] * 5})
    edge.post("/v1/kms/fail", {"how": "Conflict"})
    edge.post("/v1/kms/fail", {"how": "nonsense"})
    edge.call("POST", "/v1/kms/things", b"{", ALL, JSON)
    edge.call("POST", "/v1/kms/things", b"{")
    edge.call("GET", "/nowhere")
    registry = metrics.registry
    assert value(registry, "kms_ops_total", op="make", alg="small", result="ok") is None, "the act counts its own items"
    assert value(registry, "kms_ops_total", op="make:batch", alg="none", result="ok") == 1
    assert value(registry, "kms_ops_total", op="fail", alg="none", result="Conflict") == 1
    assert value(registry, "kms_ops_total", op="fail", alg="none", result="Internal") == 1
    assert value(registry, "kms_latency_seconds_count", op="make", alg="small") == 1
    assert value(registry, "kms_latency_seconds_count", op="make", alg="none") == 2
    assert value(registry, "kms_batch_size_sum", op="make:batch") == 5
    assert value(registry, "rejected_total", reason="BadRequest") == 1
    assert value(registry, "rejected_total", reason="Unauthenticated") == 1
    assert value(registry, "rejected_total", reason="NotFound") == 1
    assert value(registry, "kms_inflight", op="make") == 0


def test_in_flight_is_seen_while_it_lasts(runner: asyncio.Runner) -> None:
    metrics = Metrics()
    edge = Edge(runner, metrics=metrics)

    async def look() -> list[float | None]:
        stream = Stream(chunked(b'{"how":"wait"}'))
        task = asyncio.create_task(edge.stream("POST", "/v1/kms/fail", stream, ALL, JSON))
        await asyncio.sleep(0.01)
        during = value(metrics.registry, "kms_inflight", op="fail")
        edge.kms.go.set()
        await task
        return [during, value(metrics.registry, "kms_inflight", op="fail")]

    assert edge.run(look()) == [1, 0]


@pytest.fixture
def collected(tmp_path: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))  # type: ignore[no-untyped-call]
    return registry


def test_slots_are_summed_and_outlive_their_processes(tmp_path: Path, collected: CollectorRegistry) -> None:
    for slot in ("0", "1", "1"):
        subprocess.run([sys.executable, "-c", WORKER, str(tmp_path), slot], check=True)
    assert value(collected, "kms_ops_total", op="sign", alg="ed25519", result="ok") == 18
    assert value(collected, "kms_latency_seconds_bucket", op="sign", alg="ed25519", le="0.00086") == 0
    assert value(collected, "kms_latency_seconds_bucket", op="sign", alg="ed25519", le="0.001") == 3
    assert value(collected, "kms_inflight", op="sign") == 2, "what the slot's former process had in flight is forgotten"
    assert value(collected, "kms_batch_size_sum", op="sign:batch") == 192
    assert value(collected, "rejected_total", reason="TooLarge") == 3
    assert value(collected, "kms_reject_total", reason="bad_signature") == 3
    assert {path.stem.rpartition("_")[2] for path in tmp_path.glob("*.db")} == {"0", "1"}


def test_made_up_tenants_make_no_labels_without_end() -> None:
    metrics = Metrics()
    for number in range(100_000):
        metrics.policy(f"tenant-{number}", 1, 100)
    shown = [sample for family in metrics.registry.collect() for sample in family.samples if "tenant" in sample.labels]
    assert len(shown) == 2 * TENANTS_SHOWN
