"""Starts that must not succeed say why in one sentence; starts that succeed say what to do next."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ron_kms.config import DEFINITIONS
from tests.server.service import environment, serving


def _serve(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ron_kms.cli.main", "serve"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=30, check=False)


def _refused(data_dir: Path, **settings: str) -> str:
    done = _serve(environment(data_dir, **settings))
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("ron-kms: ")
    return done.stderr


@pytest.mark.parametrize("setting", ["http_addr", "operator_addr"])
def test_an_address_in_use(tmp_path: Path, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as sock:
        address = f"127.0.0.1:{sock.getsockname()[1]}"
        assert f"the address of {setting}, {address}, is in use." in _refused(tmp_path / "data", **{setting: address})
    assert not (tmp_path / "data" / "root.key").exists()


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    message = _refused(tmp_path / "data", http_addr="192.0.2.1:9446", insecure_plaintext="1")
    assert "the address of http_addr, 192.0.2.1:9446, cannot be used" in message


def test_a_second_start_on_the_same_data(tmp_path: Path) -> None:
    with serving(tmp_path / "data", workers="1") as service:
        assert "is in use by another ron-kms" in _refused(tmp_path / "data")
        assert service.readyz().status_code == 200


def test_root_keys_that_are_missing_or_wrong(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serving(data_dir, workers="1") as service:
        assert service.stop() == 0
    key = data_dir / "root.key"
    key.write_text("0" * 64 + "\n")
    message = _refused(data_dir)
    assert "the store is sealed with root key" in message
    assert "0" * 64 not in message
    key.unlink()
    assert "is missing" in _refused(data_dir)
    assert not key.exists(), "never a new key over old data"


def test_a_data_folder_that_others_can_read(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o755)
    (data_dir / "something").touch()
    assert "others have access to the data folder" in _refused(data_dir)
    assert "cannot be used" in _refused(data_dir / "something")


def test_faults_in_settings(tmp_path: Path) -> None:
    message = _refused(tmp_path / "data", workers="many", log_level="loud")
    assert "KMS_WORKERS must be a whole number" in message
    assert "KMS_LOG_LEVEL must be one of" in message
    assert "many" not in message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"store_url": "postgresql://db/kms"}, "PostgreSQL"),
        ({"seal": "pkcs11:x"}, "seal of the root key"),
        ({"tls_cert": "/nowhere", "tls_key": "/nowhere"}, "tls_cert and tls_key cannot be read"),
    ],
)
def test_what_is_not_there(tmp_path: Path, settings: dict[str, str], words: str) -> None:
    assert words in _refused(tmp_path / "data", **settings)


def test_a_worker_that_dies_while_it_starts_ends_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import os, sys\nif 'ron_kms.server.worker' in sys.orig_argv: os._exit(3)\n"
    )
    done = _serve({**environment(tmp_path / "data", workers="2"), "PYTHONPATH": str(broken)})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ron-kms: a worker died while it started.")
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_it_prints_can_be_pasted(tmp_path: Path) -> None:
    with serving(tmp_path / "data dir", workers="2") as service:
        text = service.out.read_text()
        commands = text[text.index("KEY=$(") :]
        assert len(commands.strip().split("\n\n")) == 3
        done = subprocess.run(["sh", "-eu"], input=commands, capture_output=True, text=True, timeout=30, check=True)
        key, signed, verified = done.stdout.splitlines()
        assert '"kid":"demo/first/' in key
        assert '"alg":"ml-dsa-65"' in signed
        assert verified.startswith('{"ok":true')
        assert done.stderr == ""


def test_help_and_version() -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "ron_kms.cli.main", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout

    text = " ".join(run("serve", "--help").split())
    for row in DEFINITIONS:
        assert row.flag in text
        assert f"[{row.env}; default: {row.default}]" in text
    assert {line.split()[0] for line in run("version").splitlines()} >= {"ron_kms", "liboqs", "libsodium", "sqlite"}
