"""The data folder: its owner's alone, used by one supervisor at a time, written so that a crash leaves whole files."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import stat
from pathlib import Path
from typing import Any, Self

from ron_kms.disk import sync_path
from ron_kms.errors import ConfigurationError

TOKEN = "admin.token"  # noqa: S105 - a file's name
ENDPOINTS = "endpoints.json"
LOCK = "lock"


class DataDirectory:
    """An opened and locked data folder.

    :raises ConfigurationError: it cannot be made or used, others have access to it, or another supervisor uses it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim_for_owner()
            self._lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise ConfigurationError(f"the data folder {path} cannot be used: {error.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise ConfigurationError(
                f"the data folder {path} is in use by another ron-kms",
                hint="Stop that one, or name another folder with --data-dir.",
            ) from None

    def _claim_for_owner(self) -> None:
        status = self.path.stat()
        if not status.st_mode & 0o077:
            return
        if any(self.path.iterdir()) or status.st_mode & stat.S_ISVTX or status.st_uid != os.geteuid():
            raise ConfigurationError(
                f"others have access to the data folder {self.path}",
                hint=f"If it is the right one: chmod 700 {self.path}",
            )
        self.path.chmod(0o700)

    def close(self) -> None:
        """Let another supervisor have it."""
        os.close(self._lock)

    def write_secret(self, name: str, text: str) -> Path:
        """A new file, mode 0600, on disk with its folder when this returns.

        :raises FileExistsError: there is one already.
        """
        target = self.path / name
        fresh = self._write(name, text)
        try:
            os.link(fresh, target)
        finally:
            fresh.unlink()
        sync_path(self.path)
        return target

    def replace(self, name: str, text: str) -> None:
        """Write a file in the place of the one that may be there, on disk when this returns; a crash leaves either."""
        self._write(name, text).replace(self.path / name)
        sync_path(self.path)

    def read(self, name: str, most: int) -> bytes | None:
        """Up to ``most`` bytes of a file, None where it is not there."""
        try:
            with (self.path / name).open("rb") as file:
                return file.read(most)
        except FileNotFoundError:
            return None

    def write_endpoints(self, endpoints: dict[str, Any]) -> None:
        """Where the service is found, for scripts; they see all of it or nothing."""
        self._write(ENDPOINTS, json.dumps(endpoints, indent=2) + "\n").replace(self.path / ENDPOINTS)

    def remove_endpoints(self) -> None:
        (self.path / ENDPOINTS).unlink(missing_ok=True)

    def set_aside(self, name: str) -> None:
        """Rename a file that must not be overwritten and is not in force."""
        old = self.path / name
        if old.exists():
            old.rename(self.path / f"{name}.{secrets.token_hex(4)}.old")

    def _write(self, name: str, text: str) -> Path:
        fresh = self.path / f".{name}.{secrets.token_hex(8)}"
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            os.fchmod(fd, 0o600)
            file.write(text)
            file.flush()
            os.fsync(fd)
        return fresh

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
