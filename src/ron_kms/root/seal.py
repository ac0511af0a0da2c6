"""What every seal does: it keeps a root key in a file that only its owner can use, whole or not at all."""

from __future__ import annotations

import os
import secrets
import stat
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self, TypeVar

from ron_kms._core import CoreError, SecretKey
from ron_kms.disk import sync_path
from ron_kms.errors import RootKeyError
from ron_kms.root.handle import RootKey

T = TypeVar("T")


class Seal(ABC):
    """A root key's resting place at ``path``, which must be absolute; ``str()`` of it tells people where it is."""

    name: ClassVar[str]
    """The seal's name, as it stands before the colon."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def at(self, path: Path) -> Self:
        """The same seal at another path."""

    @abstractmethod
    def _read(self, fd: int) -> SecretKey:
        """:raises RootKeyError, CoreError, OSError: it is not there, or cannot be taken out."""

    @abstractmethod
    def _read_id(self, fd: int) -> str:
        """The id of the root key in the file, without its secret where that asks people for something."""

    @abstractmethod
    def _write(self, fd: int, key: SecretKey) -> None:
        """Write the key into a new file."""

    def load(self) -> RootKey | None:
        """The root key, or None where no file is.

        :raises RootKeyError: the file is not a regular one, others may use it, or it does not give a root key.
        """
        fd = self._open()
        if fd is None:
            return None
        try:
            return RootKey(self._read(fd))
        except OSError as error:
            raise self._refusal(f"cannot be read: {error.strerror}") from None
        except CoreError as error:
            raise self._refusal(f"cannot be taken in: {error}", "Let more memory be locked: ulimit -l.") from None
        finally:
            os.close(fd)

    def identify(self) -> str | None:
        """The id of the root key that rests here, or None where no file is; nobody is asked for anything.

        :raises RootKeyError: as :meth:`load`.
        """
        fd = self._open()
        if fd is None:
            return None
        try:
            return self._read_id(fd)
        except OSError as error:
            raise self._refusal(f"cannot be read: {error.strerror}") from None
        except CoreError as error:
            raise self._refusal(f"cannot be taken in: {error}", "Let more memory be locked: ulimit -l.") from None
        finally:
            os.close(fd)

    def create(self) -> RootKey:
        """Make a root key, on disk before it is returned; where another process was first, its key is taken.

        The key is written beside its place and then linked there, which fails like O_EXCL where a file is already: a
        crash can leave no half-written root key behind, and two starters cannot both believe in theirs.

        :raises RootKeyError: it cannot be kept safely.
        """
        folder = self.path.parent
        fresh = folder / f".{self.path.name}.{secrets.token_hex(8)}"
        key = SecretKey.generate()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._make(fresh, key)
                os.link(fresh, self.path)
            finally:
                fresh.unlink(missing_ok=True)
            sync_path(folder)
        except FileExistsError:
            key.release()
            other = self.load()
            if other is None:
                raise self._refusal("was there and is gone again") from None
            return other
        except OSError as error:
            key.release()
            raise self._refusal(f"cannot be made: {error.strerror}") from None
        except BaseException:
            key.release()
            raise
        return RootKey(key)

    def _make(self, path: Path, key: SecretKey) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)  # whatever the umask says
            self._write(fd, key)
            os.fsync(fd)
        finally:
            os.close(fd)

    def _open(self) -> int | None:
        try:
            # Not blocking, so that a named pipe in its place cannot hang the start.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal(f"cannot be opened: {error.strerror}") from None
        try:
            self._check(os.fstat(fd))
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise self._refusal("is not a regular file")
        if status.st_uid not in (os.geteuid(), 0):
            raise self._refusal("belongs to another user", f"Make it your own: chown $(id -u) {self.path}")
        if status.st_mode & 0o077:
            raise self._refusal(
                "may be read or written by others, so that the key in it may be known to them",
                f"If nobody has read it: chmod 600 {self.path}",
            )

    def _refusal(self, what: str, hint: str | None = None) -> RootKeyError:
        return RootKeyError(
            f"the {self} {what}", hint=hint or "Put the root key file back from its backup, or name the right one."
        )
