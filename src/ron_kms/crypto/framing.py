"""The exact bytes that are signed and authenticated.

Every format here is stable: changing one breaks signatures or sealed blobs that exist. Fields of variable length are
either last or carry their length, so that no two inputs give the same bytes.
"""

from __future__ import annotations

import struct
from functools import cache
from hashlib import sha256

from ron_kms.errors import BadRequest
from ron_kms.model import Kid

DIGEST_SIZE = 32
MESSAGE_MAX = 64 * 1024
RESERVED = b"ron-kms-"
BLOB_FORMAT = 1
CIPHERTEXT_FORMAT = 1
CONTEXT_MAX = 1024


def digest_message(suite: str, digest: bytes) -> bytes:
    """What is signed, by every track alike, where the caller gives a BLAKE3-256 digest.

    ``ron-kms-b3-v1``, a zero byte, the suite's name, a zero byte, the 32 bytes of the digest: any Ed25519 or ML-DSA
    library can check it offline, and half of a hybrid signature cannot pass as a plain one.
    """
    return _digest_prefix(suite) + digest


@cache
def _digest_prefix(suite: str) -> bytes:
    return b"ron-kms-b3-v1\0" + suite.encode("ascii") + b"\0"


def raw_message(message: bytes) -> bytes:
    """What is signed where the caller gives the message itself.

    :raises BadRequest: it could be mistaken for one that :func:`digest_message` makes.
    """
    if message.startswith(RESERVED):
        raise BadRequest("messages beginning with 'ron-kms-' cannot be signed", hint="Sign a digest instead.")
    return message


_HEADER = struct.Struct(">BI")
HEADER_SIZE = _HEADER.size


def ciphertext_header(version: int) -> bytes:
    """What wrapped keys and sealed data begin with: a format byte and the key's version (u32)."""
    return _HEADER.pack(CIPHERTEXT_FORMAT, version)


def ciphertext_version(data: bytes) -> int:
    """The key's version that wrapped keys or sealed data name.

    :raises BadRequest: they are cut off, or of another format.
    """
    if len(data) < HEADER_SIZE:
        raise BadRequest("the ciphertext is too short")
    format_, version = _HEADER.unpack_from(data)
    if format_ != CIPHERTEXT_FORMAT or version == 0:
        raise BadRequest("the ciphertext is not in a form that this version of ron-kms makes")
    return int(version)


def wrap_info(kid: Kid, context: bytes) -> bytes:
    """HPKE's info: ``ron-kms/wrap/v1``, a zero byte, the kid with its version, a zero byte and the caller's context."""
    return b"ron-kms/wrap/v1\0" + str(kid).encode("ascii") + b"\0" + context


def seal_ad(kid: Kid, suite: str, aad: bytes) -> bytes:
    """Associated data of sealed data: format, kid, version, suite, the caller's aad, each with its length before it."""
    return _counted(
        bytes((CIPHERTEXT_FORMAT,)),
        str(kid).encode("ascii"),
        (kid.version or 0).to_bytes(4, "big"),
        suite.encode("ascii"),
        aad,
    )


def blob_ad(kid: Kid, suite: str, created_us: int, public: tuple[bytes, ...]) -> bytes:
    """The associated data of a sealed private key: a blob that was moved, swapped or relabelled does not open.

    :param kid: with its version.
    :param created_us: when the version was made, in microseconds since the epoch.
    """
    return _counted(
        b"ron-kms/blob",
        bytes((BLOB_FORMAT,)),
        str(kid).encode("ascii"),
        suite.encode("ascii"),
        created_us.to_bytes(8, "big"),
        sha256(b"".join(public)).digest(),
    )


def _counted(*fields: bytes) -> bytes:
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)
