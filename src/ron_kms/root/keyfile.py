"""The ``keyfile`` seal: the root key in a file of 64 hexadecimal digits that only its owner can read."""

from __future__ import annotations

from pathlib import Path

from ron_kms._core import SecretKey
from ron_kms.root.seal import Seal


class Keyfile(Seal):
    """A root key in the clear: whoever reads the file has it."""

    name = "keyfile"

    def __str__(self) -> str:
        return f"root key file {self.path}"

    def at(self, path: Path) -> Keyfile:
        return Keyfile(path)

    def _read(self, fd: int) -> SecretKey:
        try:
            return SecretKey.read_hex(fd)
        except ValueError:
            raise self._refusal("does not hold a root key: 64 hexadecimal digits are expected") from None

    def _read_id(self, fd: int) -> str:
        key = self._read(fd)
        try:
            return key.id
        finally:
            key.release()

    def _write(self, fd: int, key: SecretKey) -> None:
        key.write_hex(fd)
