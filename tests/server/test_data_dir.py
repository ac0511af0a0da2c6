"""The data folder and the metrics folder: private, exclusive, whole."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ron_kms.errors import ConfigurationError
from ron_kms.server.data_dir import DataDirectory
from ron_kms.server.metrics_dir import MetricsDirectory


def test_it_is_made_private_and_locked(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with DataDirectory(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        with pytest.raises(ConfigurationError, match="in use by another"):
            DataDirectory(path)
    DataDirectory(path).close()


def test_an_empty_folder_is_made_private_and_a_used_one_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir(mode=0o755)
    DataDirectory(empty).close()
    assert stat.S_IMODE(empty.stat().st_mode) == 0o700
    used = tmp_path / "used"
    used.mkdir(mode=0o755)
    (used / "file").touch()
    with pytest.raises(ConfigurationError, match="others have access"):
        DataDirectory(used)
    assert stat.S_IMODE(used.stat().st_mode) == 0o755
    public = tmp_path / "public"
    public.mkdir()
    public.chmod(0o1777)
    with pytest.raises(ConfigurationError, match="others have access"):
        DataDirectory(public)


def test_the_lock_cannot_be_led_elsewhere(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "lock").symlink_to(tmp_path / "other")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        DataDirectory(tmp_path)
    assert not (tmp_path / "other").exists()


def test_secrets_are_written_once(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        with DataDirectory(tmp_path / "data") as directory:
            path = directory.write_secret("admin.token", "one\n")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            with pytest.raises(FileExistsError):
                directory.write_secret("admin.token", "two\n")
            assert path.read_text() == "one\n"
            directory.set_aside("admin.token")
            directory.write_secret("admin.token", "two\n")
            assert sorted(file.read_text() for file in path.parent.glob("admin.token*")) == ["one\n", "two\n"]
            assert not list(path.parent.glob(".*"))
    finally:
        os.umask(previous)


def test_endpoints_are_replaced_whole(tmp_path: Path) -> None:
    with DataDirectory(tmp_path / "data") as directory:
        for number in (1, 2):
            directory.write_endpoints({"pid": number})
            assert json.loads((directory.path / "endpoints.json").read_text()) == {"pid": number}
        directory.remove_endpoints()
        directory.remove_endpoints()
        assert [file.name for file in directory.path.iterdir()] == ["lock"]


def test_metrics_have_a_private_folder_that_is_the_same_after_a_crash(tmp_path: Path) -> None:
    first = MetricsDirectory(tmp_path)
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o700
    (first.path / "counter_0.db").touch()
    os.close(first._lock)  # as if it were killed
    with MetricsDirectory(tmp_path) as again, MetricsDirectory(tmp_path.parent) as other:
        assert again.path == first.path != other.path
        assert list(again.path.iterdir()) == []
    assert not again.path.exists()
    assert not other.path.exists()


def test_what_killed_supervisors_left_is_swept_out(tmp_path: Path) -> None:
    def old(name: str) -> MetricsDirectory:
        (tmp_path / name).mkdir()
        directory = MetricsDirectory(tmp_path / name)
        os.utime(directory.path, (0, 0))
        return directory

    running, killed, young = old("running"), old("killed"), MetricsDirectory(tmp_path)
    for directory in (killed, young):
        os.close(directory._lock)
    with MetricsDirectory(tmp_path.parent):
        assert running.path.exists()
        assert not killed.path.exists()
        assert young.path.exists()
    running.close()
    young.path.rmdir()


def test_a_metrics_folder_that_was_taken_is_not_used(tmp_path: Path) -> None:
    with MetricsDirectory(tmp_path) as first:
        taken = first.path
    taken.symlink_to(tmp_path)
    try:
        with MetricsDirectory(tmp_path) as elsewhere:
            assert elsewhere.path == tmp_path / "metrics"
            assert taken.is_symlink()
    finally:
        taken.unlink()
