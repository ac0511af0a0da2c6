"""Load from a process of its own while a drill does its harm, and single questions beside it."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import random
import re
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, Self, overload

import httpx

from perf.load.generator import Outcome, Seen, Stream, run
from perf.load.scenarios import sign_requests, verify_requests
from perf.load.seen import percentile
from perf.load.service import Service, Tenant, digest
from perf.load.wire import Request

RATE = 100.0
"""Requests a second of each kind: little enough for any machine, so that what is refused is refused for the harm."""
WAIT_SECONDS = 30.0
"""For the load to end once it was told to."""
LONGEST_SECONDS = 3600.0


class Load:
    """Clients that ask from the beginning of the context until :meth:`end`."""

    def __init__(self, address: tuple[str, int], streams: Sequence[Stream]) -> None:
        fork = multiprocessing.get_context("fork")
        self._ours, theirs = fork.Pipe()
        self._process = fork.Process(target=_run, args=(theirs, address, streams), daemon=True)

    def __enter__(self) -> Self:
        self._process.start()
        self._ours.recv()  # it has its connections
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, whatever is under way."""
        self._process.kill()
        self._process.join()

    @property
    def now(self) -> float:
        """Seconds since it began, as in the times of what was seen."""
        return time.perf_counter() - self._began

    def end(self) -> Outcome:
        """Send no more, wait for what is under way, and tell what came of it.

        :raises TimeoutError: it did not end.
        """
        self._ours.send(None)
        if not self._ours.poll(WAIT_SECONDS):
            raise TimeoutError("the load did not end")
        outcome: Outcome = self._ours.recv()
        return outcome


def _run(pipe: Connection, address: tuple[str, int], streams: Sequence[Stream]) -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    begun = False

    def over() -> bool:
        nonlocal begun
        if not begun:
            begun = True
            pipe.send(None)
        return pipe.poll()

    pipe.send(run(address, streams, seconds=LONGEST_SECONDS, warmup=0.0, over=over))


def steady(service: Service, rate: float = RATE, *, connections: int = 4) -> list[Stream]:
    """One tenant that signs, and verifies what was signed, at a rate each."""
    tenant = service.tenant("a")
    return [
        Stream("sign", sign_requests(service, tenant, "ed25519"), rate, connections, 32),
        Stream("verify", verify_requests(service, tenant, "ed25519"), rate, connections, 32),
    ]


class Numbered(Sequence[Request]):
    """Signs of which each is made once and has a request id of its own, which is also its name in the figures."""

    def __init__(self, service: Service, tenant: Tenant, kids: Sequence[str], run: str) -> None:
        self._address = service.address
        self._token = tenant.token
        self._kids = kids
        self._run = run
        self._numbers = itertools.count()
        self._source = random.Random(run)

    def made(self, name: str) -> bool:
        """Whether a request id is one of these."""
        return name.startswith(f"{self._run}-")

    def __len__(self) -> int:
        return 1

    @overload
    def __getitem__(self, index: int) -> Request: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Request]: ...
    def __getitem__(self, index: int | slice) -> Request | Sequence[Request]:
        name = f"{self._run}-{next(self._numbers)}"
        body = json.dumps({"kid": self._source.choice(self._kids), "digest": digest(self._source)}).encode()
        headers = (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/v1/kms/sign"),
            (":authority", "{}:{}".format(*self._address)),
            ("authorization", f"Bearer {self._token}"),
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("x-corr-id", name),
        )
        return Request(name, headers, body)


def p99(seen: Seen) -> float:
    """Milliseconds, of what was answered with 2xx."""
    return percentile(sorted(itertools.chain.from_iterable(seen.latencies.values())), 0.99) * 1e3


def answered(seen: Seen) -> str:
    """Statuses and latency in words."""
    statuses = ", ".join(f"{count} x {status or 'lost'}" for status, count in sorted(seen.statuses.items()))
    return f"{statuses}; p99 {p99(seen):.0f} ms"


def failed(seen: Seen, *allowed: int) -> int:
    """Answers that are neither 2xx nor one of these."""
    return sum(count for status, count in seen.statuses.items() if not 200 <= status < 300 and status not in allowed)


class Answer(NamedTuple):
    """
    :ivar status: 0 where none came.
    :ivar error: the code of an error, or what the connection ended with.
    """

    status: int
    error: str
    seconds: float
    content: Any


class Probe:
    """Asks one thing at a time, of a key of its own, and waits for the answer."""

    def __init__(self, service: Service, *, patience: float = 10.0) -> None:
        self._service = service
        self._source = random.Random("probe")
        self._patience = patience
        tenant = service.tenant("probe")
        [self.kid] = service.keys(tenant, "sign", "ed25519", 1)
        content = {"kid": self.kid, "digest": digest(self._source)}
        self._signed = {**content, "sigs": service.call("sign", content)["sigs"]}
        assert self.verify().status == 200

    def sign(self) -> Answer:
        return self.ask("sign", {"kid": self.kid, "digest": digest(self._source)})

    def verify(self) -> Answer:
        """Of a good signature, under a key that is cached."""
        return self.ask("verify", self._signed)

    def ask(self, path: str, content: Mapping[str, Any], token: str | None = None) -> Answer:
        began = time.perf_counter()
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        try:
            answer = self._service.client.post(path, json=content, headers=headers, timeout=self._patience)
        except httpx.HTTPError as error:
            return Answer(0, type(error).__name__, time.perf_counter() - began, None)
        data = answer.json() if answer.content else None
        code = data["error"]["code"] if answer.is_error and isinstance(data, dict) else ""
        return Answer(answer.status_code, code, time.perf_counter() - began, data)

    def ready(self) -> dict[str, Any]:
        """What ``/readyz`` says."""
        found: dict[str, Any] = httpx.get(f"{self._service.endpoints['operator']}/readyz", timeout=10).json()
        return found

    def metric(self, name: str) -> float:
        """The sum over a metric's labels."""
        text = httpx.get(f"{self._service.endpoints['operator']}/metrics", timeout=10).text
        found: list[str] = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, found))

    def restarts(self) -> int:
        return sum(worker["restarts"] for worker in self.ready()["snapshot"]["workers"])


def log(service: Service) -> list[dict[str, Any]]:
    """The lines of a service's log."""
    lines = (service.data_dir.parent / "log").read_text().splitlines()
    return [json.loads(line) for line in lines if line.startswith("{")]
