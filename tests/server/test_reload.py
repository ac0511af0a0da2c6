"""SIGHUP: new settings are in force in every worker, or in none, and nobody who is being served notices."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from ron_kms.config import DEFINITIONS, Settings
from ron_kms.errors import ConfigurationError
from ron_kms.server import control
from ron_kms.server.reloads import Apply, Reloads, Turn
from tests.counts import LONG, count
from tests.server.service import DIGEST, Service, create, environment, serving
from tests.waiting import until


def _state(service: Service) -> dict[str, Any]:
    state: dict[str, Any] = service.readyz().json()["snapshot"]["config"]
    return state


def _reload(service: Service) -> dict[str, Any]:
    """SIGHUP, and what the log says of it."""

    def told() -> list[dict[str, Any]]:
        return [
            line for line in service.log() if line["msg"].startswith(("settings reloaded", "the settings were not"))
        ]

    before = len(told())
    service.process.send_signal(signal.SIGHUP)
    assert until(lambda: len(told()) > before, 30)
    return told()[-1]


def _suites(service: Service) -> set[str]:
    """What new keys are, asked for over several connections, which come to both workers."""
    found = set()
    for _ in range(6):
        with service.client() as client:
            kid = client.post("/keys", json={"tenant": "acme", "purpose": "test", "use": "sign"}).json()
            found.add(kid["suite"])
    return found


def _signed(service: Service, kid: str, times: int) -> set[int]:
    with service.client() as client:
        return {client.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code for _ in range(times)}


def test_settings_change_under_load_in_all_workers_or_in_none(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text("workers = 2\n")
    with serving(tmp_path / "data", config=str(file)) as service:
        with service.client() as client:
            kid = create(client, suite="ed25519")
        stop = threading.Event()
        outcomes: list[object] = []

        def load() -> None:
            with service.client() as client:
                while not stop.is_set():
                    try:
                        outcomes.append(client.post("/sign", json={"kid": kid, "digest": DIGEST}).status_code)
                    except httpx.HTTPError as error:
                        outcomes.append(error)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            assert until(lambda: len(outcomes) > 20)
            assert _suites(service) == {"ed25519+ml-dsa-65"}

            file.write_text('workers = 3\npq_produce_hybrid = false\nlog_level = "debug"\n')
            line = _reload(service)
            assert line["changed"] == ["pq_produce_hybrid", "log_level"]
            assert _suites(service) == {"ed25519"}
            state = _state(service)
            assert (state["reloads"], state["failed"], state["waiting"]) == (1, False, ["workers"])
            assert len(service.workers()) == 2

            file.write_text('log_level = "secret"\nno_such_thing = 1\npq_produce_hybrid = true\n')
            line = _reload(service)
            assert line["level"] == "error"
            assert "2 settings are wrong" in line["cause"]
            assert "log_level in the file of KMS_CONFIG must be one of" in line["cause"]
            assert "no_such_thing" in line["cause"]
            assert "secret" not in line["cause"]
            assert _suites(service) == {"ed25519"}
            ready = service.readyz()
            assert ready.status_code == 200
            assert ready.json()["degraded"] == ["config_loaded"]
            assert (_state(service)["reloads"], _state(service)["failed"]) == (1, True)

            # Whoever replaces a worker starts with what is in force, not with what the start was given.
            before = service.workers()
        finally:
            stop.set()
            for thread in threads:
                thread.join(20)
        assert set(outcomes) == {200}, "no request is lost to a reload"
        os.kill(before[0], signal.SIGKILL)
        assert until(lambda: service.readyz().status_code == 200 and service.workers()[0] not in (None, before[0]), 30)
        assert _suites(service) == {"ed25519"}

        file.write_text("workers = 2\nmax_rate = 2\n")
        assert _reload(service)["changed"] == ["max_rate", "pq_produce_hybrid", "log_level"]
        assert service.readyz().json()["degraded"] == []
        assert _signed(service, kid, 40) == {200, 429}, "a limit is in force at once"
        file.write_text("workers = 2\n")
        assert _reload(service)["changed"] == ["max_rate"]
        assert _signed(service, kid, 40) == {200}
        assert _suites(service) == {"ed25519+ml-dsa-65"}
        assert service.stop() == 0


@pytest.mark.skipif(not LONG, reason="it waits for ten seconds: make test-long")
def test_one_worker_that_does_not_answer_keeps_all_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text("workers = 2\n")
    with serving(tmp_path / "data", config=str(file)) as service:
        os.kill(service.workers()[1], signal.SIGSTOP)
        file.write_text("pq_produce_hybrid = false\nworkers = 2\n")
        assert "the worker in slot 1 does not answer" in _reload(service)["cause"]
        os.kill(service.workers()[1], signal.SIGCONT)
        assert until(lambda: service.readyz().status_code == 200)
        assert _suites(service) == {"ed25519+ml-dsa-65"}
        assert _reload(service)["changed"] == ["pq_produce_hybrid"]
        assert _suites(service) == {"ed25519"}


def test_workers_that_die_meanwhile_come_back_with_what_was_decided(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text("workers = 2\n")
    with serving(tmp_path / "data", config=str(file)) as service:
        for number in range(count(1, 12)):
            hybrid = number % 2 == 1
            file.write_text(f"workers = 2\npq_produce_hybrid = {str(hybrid).lower()}\n")
            before = service.workers()
            os.kill(before[number % 2], signal.SIGKILL)
            assert until(lambda pid=before[number % 2]: pid not in service.workers())
            assert _reload(service)["changed"] == ["pq_produce_hybrid"]
            assert until(lambda: service.readyz().status_code == 200, 30)
            assert _suites(service) == {"ed25519+ml-dsa-65" if hybrid else "ed25519"}


def test_new_settings_while_it_starts_are_taken_when_it_is_up(tmp_path: Path) -> None:
    file = tmp_path / "kms.toml"
    file.write_text("workers = 1\n")
    service = Service(tmp_path / "data", config=str(file))
    try:
        # Its folder is made after the settings were read.
        assert until((tmp_path / "data" / "lock").exists, 30)
        file.write_text('workers = 1\nlog_level = "debug"\n')
        service.process.send_signal(signal.SIGHUP)
        service.wait_ready()
        assert until(lambda: any(line["msg"] == "settings reloaded" for line in service.log()))
        assert service.stop() == 0
    finally:
        service.process.kill()
        service.process.wait(5)


def test_a_closed_terminal_stops_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "-m", "ron_kms.cli.main", "serve"],
            env=environment(tmp_path / "data", workers="1"),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=err,
            start_new_session=True,
        )
    os.close(theirs)
    try:
        assert until((tmp_path / "data" / "endpoints.json").exists, 30)
        os.close(ours)
        process.send_signal(signal.SIGHUP)  # as the kernel and the shell do
        assert process.wait(15) == 0
    finally:
        process.kill()


class _Stage:
    """A worker's part in a reload, with its messages and its end to look at."""

    def __init__(self) -> None:
        self.settings = Settings()
        self.reloads = Reloads(self.settings)
        self.told: list[control.Frame] = []
        self.left = 0
        self.turn = Turn(self.reloads, self.told.append, self._leave)
        self.applied: list[str] = []

    def _leave(self) -> None:
        self.left += 1

    def take(self, names: str) -> None:
        def prepare(settings: Settings) -> Apply:
            if settings.log_level == "error":
                raise ConfigurationError("not this one")
            return lambda: self.applied.append(f"{names}:{settings.log_level}")

        self.reloads.on(names, prepare)

    def offer(self, number: int, **changes: Any) -> None:
        self.turn.hear(control.Reload(number, msgspec.structs.replace(self.settings, **changes)))

    def decide(self, number: int, apply: bool = True) -> None:
        self.turn.hear(control.Decide(number, apply))

    async def settle(self) -> None:
        await asyncio.gather(*self.turn._preparing)


def test_a_worker_changes_nothing_before_it_is_decided() -> None:
    async def play() -> None:
        stage = _Stage()
        stage.take("log_level")
        stage.take("drain_seconds")
        stage.take("")
        stage.offer(1, log_level="debug")
        await stage.settle()
        assert stage.told == [control.Prepared(1)]
        assert stage.applied == []
        assert stage.reloads.settings.log_level == "info"
        stage.decide(1, apply=False)
        stage.decide(1)
        assert stage.applied == []
        stage.offer(2, log_level="debug")
        await stage.settle()
        stage.decide(1)
        assert stage.applied == []
        stage.decide(2)
        assert stage.applied == ["log_level:debug", ":debug"]
        assert stage.reloads.settings.log_level == "debug"
        stage.decide(2)
        assert len(stage.applied) == 2
        assert stage.left == 0

    asyncio.run(play())


def test_a_worker_that_came_late_does_what_was_decided_or_leaves() -> None:
    async def play() -> None:
        stage = _Stage()
        stage.take("log_level")
        stage.offer(1, log_level="debug")
        stage.decide(1)
        await stage.settle()
        assert stage.applied == ["log_level:debug"]
        stage.offer(2, log_level="error")
        stage.decide(2)
        await stage.settle()
        assert stage.left == 1
        assert stage.told == []

    asyncio.run(play())


def test_a_fault_in_one_worker_is_told() -> None:
    async def play() -> None:
        stage = _Stage()
        stage.take("log_level")
        stage.offer(1, log_level="error")
        await stage.settle()
        assert stage.told == [control.Prepared(1, "not this one")]
        stage.offer(2, log_level="debug")
        stage.decide(2, apply=False)
        await stage.settle()
        assert stage.told == [control.Prepared(1, "not this one")]
        assert stage.reloads.settings.log_level == "info"

    asyncio.run(play())


def test_what_is_said_to_reload_is_taken_by_somebody() -> None:
    reloads = Reloads(Settings())
    with pytest.raises(ValueError, match="data_dir"):
        reloads.on("log_level data_dir")
    with pytest.raises(LookupError, match="log_level"):
        reloads.complete()
    reloads.on(" ".join(row.name for row in DEFINITIONS if row.knob.reloads))
    reloads.complete()
