"""The data folder and the metrics folder: private, exclusive, whole."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from ron_kms.errors import ConfigurationError
from ron_kms.server import metrics_dir
from ron_kms.server.data_dir import DataDirectory


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


def test_metrics_have_a_folder_that_crashes_do_not_multiply(tmp_path: Path) -> None:
    first = metrics_dir.make(tmp_path)
    (first / "counter_0.db").touch()
    assert stat.S_IMODE(first.stat().st_mode) == 0o700
    assert metrics_dir.make(tmp_path) == first
    assert list(first.iterdir()) == []
    other = metrics_dir.make(tmp_path.parent)
    assert other != first
    for place in (first, other):
        metrics_dir.remove(place)
        assert not place.exists()


def test_a_metrics_folder_that_was_taken_is_not_used(tmp_path: Path) -> None:
    taken = metrics_dir.make(tmp_path)
    taken.rmdir()
    taken.symlink_to(tmp_path)
    try:
        assert metrics_dir.make(tmp_path) == tmp_path / "metrics"
        assert taken.is_symlink()
    finally:
        taken.unlink()
