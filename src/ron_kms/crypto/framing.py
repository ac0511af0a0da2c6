"""The exact bytes that are signed and authenticated.

Every format here is stable: changing one breaks signatures or sealed blobs that exist. Fields of variable length are
either last or carry their length, so that no two inputs give the same bytes.
"""

from __future__ import annotations

from hashlib import sha256

from ron_kms.errors import BadRequest
from ron_kms.model import Kid

DIGEST_SIZE = 32
MESSAGE_MAX = 64 * 1024
RESERVED = b"ron-kms-"
BLOB_FORMAT = 1


def digest_message(suite: str, digest: bytes) -> bytes:
    """What is signed, by every track alike, where the caller gives a BLAKE3-256 digest.

    ``ron-kms-b3-v1``, a zero byte, the suite's name, a zero byte, the 32 bytes of the digest: any Ed25519 or ML-DSA
    library can check it offline, and half of a hybrid signature cannot pass as a plain one.
    """
    return b"ron-kms-b3-v1\0" + suite.encode("ascii") + b"\0" + digest


def raw_message(message: bytes) -> bytes:
    """What is signed where the caller gives the message itself.

    :raises BadRequest: it could be mistaken for one that :func:`digest_message` makes.
    """
    if message.startswith(RESERVED):
        raise BadRequest("messages beginning with 'ron-kms-' cannot be signed", hint="Sign a digest instead.")
    return message


def blob_ad(kid: Kid, suite: str, created_us: int, public: tuple[bytes, ...]) -> bytes:
    """The associated data of a sealed private key: a blob that was moved, swapped or relabelled does not open.

    :param kid: with its version.
    :param created_us: when the version was made, in microseconds since the epoch.
    """
    fields = (
        b"ron-kms/blob",
        bytes((BLOB_FORMAT,)),
        str(kid).encode("ascii"),
        suite.encode("ascii"),
        created_us.to_bytes(8, "big"),
        sha256(b"".join(public)).digest(),
    )
    return b"".join(len(field).to_bytes(4, "big") + field for field in fields)
