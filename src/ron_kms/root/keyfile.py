"""The ``keyfile`` seal: the root key in a file of 64 hexadecimal digits that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from ron_kms._core import CoreError, SecretKey
from ron_kms.errors import RootKeyError
from ron_kms.root.handle import RootKey


class Keyfile:
    """A root key at ``path``, which must be absolute."""

    name = "keyfile"

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return f"root key file {self.path}"

    def load(self) -> RootKey | None:
        """The root key, or None where no file is.

        :raises RootKeyError: the file is not a regular one, others may read it, or it holds something else.
        """
        try:
            # Not blocking, so that a named pipe in its place cannot hang the start.
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._refusal(f"cannot be opened: {error.strerror}") from None
        try:
            self._check(os.fstat(fd))
            return RootKey(SecretKey.read_hex(fd))
        except ValueError:
            raise self._refusal("does not hold a root key: 64 hexadecimal digits are expected") from None
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
        """
        folder = self.path.parent
        fresh = folder / f".{self.path.name}.{secrets.token_hex(8)}"
        key = SecretKey.generate()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                self._write(fresh, key)
                os.link(fresh, self.path)
            finally:
                fresh.unlink(missing_ok=True)
            _sync_folder(folder)
        except FileExistsError:
            key.release()
            other = self.load()
            if other is None:
                raise self._refusal("was there and is gone again") from None
            return other
        except OSError as error:
            key.release()
            raise self._refusal(f"cannot be made: {error.strerror}") from None
        return RootKey(key)

    @staticmethod
    def _write(path: Path, key: SecretKey) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)  # whatever the umask says
            key.write_hex(fd)
            os.fsync(fd)
        finally:
            os.close(fd)

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
            f"{self} {what}", hint=hint or "Put the root key file back from its backup, or name the right one."
        )


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
