"""Amnesia: nothing reaches a disk, and nothing is left when it is over."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ron_kms import config
from ron_kms.config.amnesia import SHARED, prefix
from ron_kms.errors import ConfigurationError
from ron_kms.server.amnesia import MemoryDirectory
from tests.server.service import DIGEST, Service, create, environment, gone
from tests.waiting import until

_CALLS = (
    "open,openat,openat2,creat,truncate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat,mknod,"
    "mknodat,unlink,unlinkat,rmdir"
)


class _Forgetful(Service):
    """A service in amnesia, perhaps under a tracer; its output is in ``folder``."""

    def __init__(self, folder: Path, *tracer: str) -> None:
        environ = environment(folder, amnesia="true")
        del environ["KMS_DATA_DIR"]
        environ["PYTHONDONTWRITEBYTECODE"] = "1"
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [*tracer, sys.executable, "-m", "ron_kms.cli.main", "serve"],
                env=environ,
                stdout=out,
                stderr=err,
                process_group=0,
            )

    def wait_ready(self, seconds: float = 60.0) -> None:
        told = re.compile(r"It keeps nothing: all is in (\S+) and")
        assert until(lambda: told.search(self.out.read_text()) or self.process.poll() is not None, seconds)
        found = told.search(self.out.read_text())
        assert found, self.err.read_text()
        self.data_dir = Path(found[1])
        self.endpoints = json.loads((self.data_dir / "endpoints.json").read_text())

    def signal(self, number: signal.Signals) -> None:
        """To the supervisor, which may not be our child."""
        os.kill(self.endpoints["pid"], number)


@contextlib.contextmanager
def _forgetting(folder: Path, *tracer: str) -> Iterator[_Forgetful]:
    service = _Forgetful(folder, *tracer)
    try:
        service.wait_ready()
        yield service
    finally:
        if service.process.poll() is None:
            for process in psutil.Process(service.process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            service.process.kill()
            service.process.wait(5)


def _written(trace: str) -> set[str]:
    """Paths of all files and folders that were opened for writing, made, renamed or removed."""
    found: set[str] = set()
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        pid, _, call = line.partition(" ")
        call = call.strip()
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
            continue
        if call.startswith("<... "):
            call = begun.pop(pid) + call.partition("resumed>")[2]
        if call.startswith("+++") or re.search(r"\)\s+= -1 E\w+ ", call):
            continue
        if call.startswith("open") and not re.search(r"O_(WRONLY|RDWR|CREAT|TRUNC|TMPFILE)", call):
            continue
        named = re.findall(r'(?:\w+<([^>]*)>, )?"([^"]*)"', call)
        assert named, line
        found |= {str(Path(folder, name)) for folder, name in named}
    return found


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_whole_session_writes_to_no_disk(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    tracer = ["strace", "--seccomp-bpf", "-f", "-qqq", "-y", "-s", "400", "-e", "signal=none", "-e", f"trace={_CALLS}"]
    with _forgetting(tmp_path, *tracer, "-o", str(trace)) as service:
        with service.client() as client:
            kid = create(client)
            rotated = client.post("/rotate", json={"kid": kid.partition("#")[0]})
            assert rotated.is_success, rotated.text
            signed = client.post("/sign", json={"kid": kid.partition("#")[0], "digest": DIGEST}).json()
            assert signed["kid"].endswith("#v2")
            assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True
        assert service.readyz().json()["degraded"] == []
        (worker,) = service.workers()
        os.kill(worker, signal.SIGKILL)  # its successor works on
        assert until(lambda: service.readyz().status_code == 200 and service.workers() != [worker], 30)
        with service.client() as client:
            assert client.post("/verify", json={"digest": DIGEST, **signed}).json()["ok"] is True
        service.signal(signal.SIGHUP)
        assert until(lambda: "settings reloaded" in service.err.read_text())
        folder = service.data_dir
        assert {"admin.token", "endpoints.json", "ron-kms.db"} <= {path.name for path in folder.iterdir()}
        service.signal(signal.SIGTERM)
        assert service.process.wait(20) == 0
    written = _written(trace.read_text())
    assert any(path.endswith("ron-kms.db") for path in written), "the trace has seen it all"
    assert [path for path in written if not path.startswith(("/dev/", "/proc/"))] == []
    assert not any("root.key" in path for path in written)
    assert not folder.exists()


def test_a_killed_one_leaves_nothing_that_opens_and_the_next_start_removes_it(tmp_path: Path) -> None:
    with _forgetting(tmp_path) as service:
        workers = [psutil.Process(pid) for pid in service.workers()]
        assert len(workers) == 1
        service.process.kill()
        service.process.wait(5)
        assert until(lambda: all(gone(worker) for worker in workers), 5)
        left = service.data_dir
        assert (left / "ron-kms.db").exists()
        assert not (left / "root.key").exists()
    old = time.time() - 3600
    os.utime(left, (old, old))
    with _forgetting(tmp_path) as service:
        assert not left.exists()
        assert service.data_dir.parent == SHARED
        service.signal(signal.SIGTERM)
        assert service.process.wait(15) == 0


def test_contradictions_are_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "kms.toml").write_text('seal = "keyfile:/root.key"\n')
    with pytest.raises(ConfigurationError) as caught:
        config.load(
            {"amnesia": True, "workers": "2", "config": str(tmp_path / "kms.toml"), "data_dir": "/data"},
            {"KMS_STORE_URL": "sqlite:////x"},
        )
    for part in (
        "4 settings are wrong",
        "data_dir is given (by the flag) and amnesia writes nothing to disk",
        "store_url is given (by the environment)",
        "seal is given (by the file)",
        "workers is more than 1",
    ):
        assert part in caught.value.message


def test_what_amnesia_makes_of_the_settings() -> None:
    settings = config.load({}, {"KMS_AMNESIA": "true", "KMS_HTTP_ADDR": "[::1]:9446", "KMS_WORKERS": "1"}).settings
    assert settings.data_dir == SHARED / f"{prefix()}__1-9446"
    assert settings.store_url == f"sqlite:///{settings.data_dir}/ron-kms.db"
    assert (settings.seal, settings.workers) == ("memory", 1)
    assert config.load({}, {"KMS_AMNESIA": "false"}).settings == config.load({}, {}).settings


def test_only_memory_will_do_and_only_our_own(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not there"):
        MemoryDirectory(tmp_path / "missing" / "x")
    with pytest.raises(ConfigurationError, match="on a disk"):
        MemoryDirectory(Path("/proc/x"))
    place = SHARED / f"{prefix()}test-{os.getpid()}"
    place.symlink_to(tmp_path)
    try:
        with pytest.raises(ConfigurationError, match="not a folder of this user"):
            MemoryDirectory(place)
    finally:
        place.unlink()
    with MemoryDirectory(place):
        with pytest.raises(ConfigurationError, match="in use"):
            MemoryDirectory(place)
        (place / "something").mkdir()
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()


def test_offline_commands_have_nothing_to_work_on(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ron_kms.cli.main", "backup", "--to", str(tmp_path / "copy")],
        env={**{name: value for name, value in os.environ.items() if name != "KMS_DATA_DIR"}, "KMS_AMNESIA": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "nothing that this could work on" in done.stderr
    assert not (tmp_path / "copy").exists()
