"""What was answered stays true: after a stop, after a kill, and for a request that is sent again."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.exceptions
import httpx
import pytest

from tests.e2e.service import Service
from tests.e2e.wire import MSGPACK, Answer, Client, digest_of, narrowed

DIGEST = digest_of("a document")
OP_ID = "11111111-2222-4333-8444-55555555555%d"


def test_keys_and_tokens_are_there_after_a_restart(data_dir: Path) -> None:
    with Service(data_dir) as service:
        token = service.token
        with service.client() as client:
            kids = [client.create(suite) for suite in ("ed25519", "ed25519+ml-dsa-65")]
            sigs = [client.post("sign", kid=kid, digest=DIGEST).good()["sigs"] for kid in kids]
            keys = [client.get(f"keys/{kid[:-3]}").good() for kid in kids]
        assert service.stop() == 0
        service.start()
        assert service.token == token
        with service.client() as client:
            for kid, signatures, key in zip(kids, sigs, keys, strict=True):
                assert client.get(f"keys/{kid[:-3]}").good() == key
                assert client.post("verify", kid=kid, digest=DIGEST, sigs=signatures).good()["ok"] is True
                again = client.post("sign", kid=kid, digest=DIGEST).good()["sigs"]
                assert client.post("verify", kid=kid, digest=DIGEST, sigs=again).good()["ok"] is True


def test_a_key_that_was_answered_survives_a_kill_at_once(data_dir: Path) -> None:
    with Service(data_dir) as service:
        with service.client() as client:
            kid = client.create("ed25519+ml-dsa-65")
        service.kill()
        service.start()
        with service.client() as client:
            sigs = client.post("sign", kid=kid, digest=DIGEST).good()["sigs"]
            assert client.post("verify", kid=kid, digest=DIGEST, sigs=sigs).good()["ok"] is True


def test_a_kill_while_keys_are_made_loses_none_that_was_answered(data_dir: Path) -> None:
    answered: list[str] = []

    def make(service: Service) -> None:
        try:
            with service.client() as client:
                while True:
                    answered.append(client.create())
        except (httpx.TransportError, AssertionError):
            pass

    with Service(data_dir) as service:
        threads = [threading.Thread(target=make, args=(service,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        while len(answered) < 60:
            threads[0].join(0.005)
        service.kill()
        for thread in threads:
            thread.join()
        service.start()
        with service.client() as client:
            items = [{"kid": kid, "digest": DIGEST} for kid in answered]
            assert all("sigs" in item for item in client.post("sign:batch", items=items).good()["items"])


def test_an_op_id_counts_once_across_restarts(data_dir: Path) -> None:
    def make(client: Client, number: int, **fields: Any) -> Any:
        wanted = {"tenant": "acme", "purpose": "once", "use": "sign", "suite": "ed25519", **fields}
        return client.post("keys", op_id=OP_ID % number, **wanted)

    with Service(data_dir) as service:
        with service.client() as client:
            first = make(client, 1).good(201)
            assert make(client, 1).good(201) == first
        service.kill()
        service.start()
        with service.client() as client, service.client(media=MSGPACK) as packed:
            assert make(client, 1).good(201) == first
            assert make(packed, 1).good(201)["kid"] == first["kid"], "the fields count, not how they were written"
            for other in ({"purpose": "twice"}, {"suite": "ml-dsa-65"}, {"labels": {"a": "b"}}, {"raw_messages": True}):
                assert make(client, 1, **other).code == "Conflict"
            assert make(client, 2).good(201)["kid"] != first["kid"]
            assert make(client, 1, tenant="other").good(201)["kid"].startswith("other/"), "op_ids are a tenant's own"
            narrow = narrowed(service.token, "tenant = acme", "scope = kms:read")
            assert client.call("POST", "/v1/kms/keys", {}, token=narrow).code == "NoCapability"
            assert len(client.get("keys", prefix="acme/once").good()["keys"]) == 2


def test_an_op_id_sent_many_times_at_once_makes_one_key(service: Service) -> None:
    answers: list[Any] = []

    def make() -> None:
        with service.client() as client:
            answers.append(
                client.post("keys", tenant="acme", purpose="race", use="sign", suite="ed25519", op_id=OP_ID % 3)
            )

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = {answer.data["kid"] for answer in answers if answer.status == 201}
    assert len(made) == 1
    assert {answer.code for answer in answers if answer.status != 201} <= {"Conflict"}
    with service.client() as client:
        assert len(client.get("keys", prefix="acme/race").good()["keys"]) == 1


def test_a_stop_refuses_new_requests_and_finishes_the_one_it_has(data_dir: Path) -> None:
    more = threading.Event()
    answers: list[Answer] = []

    with Service(data_dir) as service, service.client() as client:
        body = client.encode({"kid": client.create(), "digest": DIGEST})

        def slowly() -> Iterator[bytes]:
            yield body[:20]
            more.wait(10)
            yield body[20:]

        thread = threading.Thread(target=lambda: answers.append(client.call("POST", "/v1/kms/sign", slowly())))
        thread.start()
        client.get("keys").good()
        os.kill(service.pid, signal.SIGTERM)
        deadline = time.monotonic() + 2.5
        late = client.get("keys")
        while late.status == 200 and time.monotonic() < deadline:
            late = client.get("keys")
        assert (late.status, late.code, late.headers["retry-after"]) == (503, "ShuttingDown", "1")
        # Hypercorn closes its sockets at once, Granian when the requests in flight are done.
        with service.client() as new, contextlib.suppress(httpx.ConnectError):
            assert new.get("keys").code == "ShuttingDown"
        more.set()
        thread.join(10)
        assert service.stop() == 0
    assert "sigs" in answers[0].good()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_finishes_what_is_in_flight(data_dir: Path, workers: int) -> None:
    outcomes: list[str] = []
    stopping = threading.Event()

    def work(service: Service) -> None:
        with service.client() as client:
            kid = client.create("ml-dsa-65")
            items = [{"digest": digest_of(str(at))} for at in range(200)]
            started.release()
            while True:
                late = stopping.is_set()
                try:
                    answer = client.post("sign:batch", kid=kid, items=items)
                except (httpx.TransportError, h2.exceptions.ProtocolError):  # the latter for a PING behind a GOAWAY
                    outcomes.append("closed" if late or stopping.is_set() else "lost")
                    return
                if answer.status != 200:
                    outcomes.append(answer.code)
                    assert answer.headers["retry-after"] == "1"
                    return
                assert all("sigs" in item for item in answer.data["items"])

    started = threading.Semaphore(0)
    with Service(data_dir, workers=workers) as service:
        threads = [threading.Thread(target=work, args=(service,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert started.acquire(timeout=20)
        stopping.set()
        assert service.stop() == 0
        for thread in threads:
            thread.join(10)
    assert len(outcomes) == 4
    assert set(outcomes) <= {"ShuttingDown", "closed"}
