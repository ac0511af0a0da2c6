"""The client that behaves, beside an attack, and what the attack may not do to it and to the worker."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import psutil

from ron_kms.capabilities.tokens import attenuate
from tests.server.service import DIGEST, Service, create
from tests.waiting import until

MARK = "Gr1mblewort-7c41"
"""In whatever an attack sends; it may come back in no answer and no log line."""


@dataclass
class Seen:
    """What was seen while an attack went on."""

    served: int = 0
    failed: list[Any] = field(default_factory=list)
    longest: float = 0.0
    peak: int = 0
    """Bytes by which the worker grew."""
    statuses: set[int] = field(default_factory=set)
    """What the attackers were answered."""
    heard: list[bytes] = field(default_factory=list)


class Neighbour:
    """Signs without a pause on one connection, as a tenant of its own."""

    def __init__(self, service: Service, **options: Any) -> None:
        self.seen = Seen()
        self._service = service
        self._stop = threading.Event()
        self._worker = psutil.Process(service.workers()[0])
        self._client = service.client(timeout=20, **options)
        self._kid = create(self._client, tenant="neighbour", suite="ed25519")
        token = attenuate(service.token, ["tenant = neighbour"])
        self._client.headers["authorization"] = f"Bearer {token}"
        self._sign()
        self._before = self._worker.memory_info().rss
        self._thread = threading.Thread(target=self._run)

    def _sign(self) -> bool:
        answer = self._client.post("/sign", json={"kid": self._kid, "digest": DIGEST})
        if answer.status_code != 200:
            self.seen.failed.append(answer.text)
        return answer.status_code == 200

    def _run(self) -> None:
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                self.seen.served += self._sign()
            except httpx.HTTPError as error:
                self.seen.failed.append(error)
                break
            self.seen.longest = max(self.seen.longest, time.monotonic() - began)
            with contextlib.suppress(psutil.NoSuchProcess):
                self.seen.peak = max(self.seen.peak, self._worker.memory_info().rss - self._before)
            self._stop.wait(0.02)

    def __enter__(self) -> Seen:
        self._thread.start()
        return self.seen

    def __exit__(self, kind: object, *_: object) -> None:
        served = self.seen.served
        if kind is None:  # it is still served, on its old connection and on a new one
            until(lambda: self.seen.served >= served + 3 or bool(self.seen.failed), 10)
        self._stop.set()
        self._thread.join(30)
        self._client.close()


@contextlib.contextmanager
def unharmed(service: Service, *, megabytes: int | None, seconds: float = 5.0, **options: Any) -> Iterator[Seen]:
    """Around an attack: bounded memory, bounded time, the neighbour served all along, no failure of ours."""
    said = len(service.log())
    workers = service.workers()
    with Neighbour(service, **options) as seen:
        yield seen
    assert seen.failed == []
    assert seen.served >= 3
    assert seen.longest < seconds
    assert megabytes is None or seen.peak < megabytes << 20, f"grew by {seen.peak >> 20} MiB"
    assert service.workers() == workers, "the worker died"
    lines = service.log()[said:]
    ours = [line for line in lines if line["level"] == "error" or "trace" in line]
    assert ours == [], json.dumps(ours)[:4000]
    assert MARK not in json.dumps(lines)
    assert not [heard for heard in seen.heard if MARK.encode() in heard or b"Traceback" in heard]
    assert not {status for status in seen.statuses if status >= 500 and status != 503}
