"""ron-kms: post-quantum-ready keys that sign and verify, in batches, at the speed of the C code underneath.

>>> import ron_kms
>>> with ron_kms.SigningKey.generate("ed25519+ml-dsa-65") as key:
...     sigs = key.sign(b"message")
>>> key.verify_key.is_valid(b"message", sigs)
True

:func:`open` opens a store of keys that outlive the process. What is not listed in ``__all__`` is internal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ron_kms.crypto.signing import Signature, SigningKey, VerifyKey, verify_batch
from ron_kms.crypto.wrapping import UnwrapKey, WrapKey, wrap_batch
from ron_kms.errors import (
    BadRequest,
    CallerError,
    ConfigurationError,
    Conflict,
    Internal,
    InvalidSignature,
    KeyDisabled,
    KmsError,
    NoCapability,
    NotFound,
    PolicyRefused,
    PreconditionFailed,
    RootKeyError,
    ServiceError,
    StoreCorrupt,
    StoreUnavailable,
    Unsupported,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ron_kms.service.local import LocalKms

__version__ = "0.1.0"

__all__ = [
    "BadRequest",
    "CallerError",
    "ConfigurationError",
    "Conflict",
    "Internal",
    "InvalidSignature",
    "KeyDisabled",
    "KmsError",
    "NoCapability",
    "NotFound",
    "PolicyRefused",
    "PreconditionFailed",
    "RootKeyError",
    "ServiceError",
    "Signature",
    "SigningKey",
    "StoreCorrupt",
    "StoreUnavailable",
    "Unsupported",
    "UnwrapKey",
    "VerifyKey",
    "WrapKey",
    "open",
    "verify_batch",
    "wrap_batch",
]


def open(  # noqa: A001 - the public name, as in dbm.open or sqlite3.connect
    url: str, *, seal: str, passphrase_file: Path | None = None, audit: Path | None = None
) -> LocalKms:
    """Open a store of keys in this process, without a server; on first use, make it and its root key.

    >>> import tempfile
    >>> from blake3 import blake3
    >>> folder = tempfile.mkdtemp()
    >>> with open(f"sqlite:///{folder}/keys.db", seal=f"keyfile:{folder}/root.key") as kms:
    ...     kid = kms.create(tenant="core", purpose="audit", suite="hybrid")
    ...     digest = blake3(b"payload").digest()
    ...     signed = kms.sign(kid, digest=digest)
    ...     kms.verify(signed.kid, signed.sigs, digest=digest).ok
    True

    :param url: where the keys are, ``sqlite:///<path>``.
    :param seal: where the root key is that seals them, ``keyfile:<path>``, or ``passphrase:<path>``. Losing
        it is losing every key.
    :param passphrase_file: a file whose first line is the passphrase; without it, it is asked at the terminal.
    :param audit: the folder of the audit logs, of which this session writes one of its own; ``audit`` beside the store
        where none is named. ``ron-kms audit`` checks them.
    :raises RootKeyError: the root key is missing, wrong, or readable by others.
    :raises StoreUnavailable: the store cannot be used now.
    """
    # Here, so that importing ron_kms loads no SQL package.
    from ron_kms.service.local import LocalKms  # noqa: PLC0415

    return LocalKms(url, seal=seal, passphrase_file=passphrase_file, audit=audit)
