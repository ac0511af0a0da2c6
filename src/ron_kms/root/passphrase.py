"""The ``passphrase`` seal: the root key encrypted under a key that Argon2id (RFC 9106) makes of a passphrase.

The file is JSON, format 1: ``root_id``, ``kdf`` with ``alg`` (``argon2id13``, version 1.3 with one lane), ``opslimit``
(passes), ``memlimit`` (bytes) and ``salt`` (16 bytes, hexadecimal), and ``wrapped``, hexadecimal: 24 bytes of nonce and
the root key under XChaCha20-Poly1305, with everything else in the file as associated data.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from ron_kms._core import CoreError, GuardedMemoryError, SecretKey, from_passphrase
from ron_kms.errors import RootKeyError
from ron_kms.root.ask import passphrase
from ron_kms.root.seal import Seal

_MOST_BYTES = 4096
_SALT_BYTES = 16


class Cost(NamedTuple):
    """What one guess costs: passes over the memory, and bytes of it."""

    opslimit: int
    memlimit: int


MODERATE = Cost(3, 256 * 2**20)
"""libsodium's "moderate", 0.7 s: more than RFC 9106's second recommendation, on a server that starts rarely."""


class _Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    # Bounds, so that an edited file cannot take the machine's memory or its day.
    opslimit: Annotated[int, msgspec.Meta(ge=1, le=64)]
    memlimit: Annotated[int, msgspec.Meta(ge=8 * 2**20, le=4 * 2**30)]
    salt: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    alg: Literal["argon2id13"] = "argon2id13"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    root_id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]
    kdf: _Kdf
    wrapped: Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{2})*$")] = ""
    format: Literal[1] = 1

    @property
    def ad(self) -> bytes:
        return b"ron-kms/root-key/passphrase/v1\0" + msgspec.json.encode(msgspec.structs.replace(self, wrapped=""))

    def stretch(self, given: memoryview) -> SecretKey:
        return from_passphrase(given, bytes.fromhex(self.kdf.salt), self.kdf.opslimit, self.kdf.memlimit)


class Passphrase(Seal):
    """A root key under a passphrase.

    :param source: where the passphrase is read, None for the terminal (:mod:`ron_kms.root.ask`).
    :param cost: for a new file; one that is there says its own.
    """

    name = "passphrase"

    def __init__(self, path: Path, source: Path | None = None, cost: Cost = MODERATE) -> None:
        super().__init__(path)
        self._source = source
        self._cost = cost

    def __str__(self) -> str:
        return f"passphrase-sealed root key file {self.path}"

    def at(self, path: Path) -> Passphrase:
        return Passphrase(path, self._source, self._cost)

    def _read(self, fd: int) -> SecretKey:
        file = self._parse(fd)
        with passphrase(self._source, new=False) as given:
            key = self._stretch(file, given)
        try:
            return key.open_key(bytes.fromhex(file.wrapped), file.ad)
        except GuardedMemoryError:
            raise
        except CoreError:
            raise RootKeyError(
                f"the {self} does not open: the passphrase is wrong, or the file was changed",
                hint="Try again, or put the file back from its backup.",
            ) from None
        finally:
            key.release()

    def _read_id(self, fd: int) -> str:
        return self._parse(fd).root_id

    def _write(self, fd: int, key: SecretKey) -> None:
        file = _File(key.id, _Kdf(*self._cost, salt=os.urandom(_SALT_BYTES).hex()))
        with passphrase(self._source, new=True) as given:
            wrapping = self._stretch(file, given)
        try:
            file = msgspec.structs.replace(file, wrapped=wrapping.seal_key(key, file.ad).hex())
        finally:
            wrapping.release()
        with os.fdopen(os.dup(fd), "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")

    def _stretch(self, file: _File, given: memoryview) -> SecretKey:
        try:
            return file.stretch(given)
        except GuardedMemoryError:
            raise
        except CoreError:
            raise self._refusal(
                f"needs {file.kdf.memlimit >> 20} MiB of memory for its passphrase, which are not to be had",
                "Give the process more memory.",
            ) from None

    def _parse(self, fd: int) -> _File:
        try:
            return msgspec.json.decode(os.read(fd, _MOST_BYTES), type=_File)
        except msgspec.DecodeError:
            raise self._refusal("does not hold a root key under a passphrase, in format 1") from None
