"""TLS 1.3 for the API's port, with client certificates where an authority for them is named."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import NamedTuple

from ron_kms.config import Settings
from ron_kms.errors import ConfigurationError


class Files(NamedTuple):
    """Where certificate chain and key are, and the authorities of clients' certificates."""

    cert: Path
    key: Path
    client_ca: Path | None

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Something else whenever one of the files is another, found without reading a key.

        :raises ConfigurationError: one is not there.
        """
        try:
            found = [path.stat() for path in (self.cert, self.key, self.client_ca) if path is not None]
        except OSError:
            raise ConfigurationError("tls_cert, tls_key or tls_client_ca cannot be read") from None
        return tuple((file.st_ino, file.st_mtime_ns, file.st_size) for file in found)


def files_of(settings: Settings) -> Files | None:
    """What a listener is to use, None for plain text."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Files(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def make_context(settings: Settings) -> ssl.SSLContext | None:
    """The context of a listener, None for plain text.

    :raises ConfigurationError: certificate, key or authorities cannot be used.
    """
    files = files_of(settings)
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2", "http/1.1"])
    if settings.tls_pq == "off":
        context.set_ecdh_curve("X25519")
    try:
        # An encrypted key would ask for its passphrase on the terminal.
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")
    except OSError as error:
        raise ConfigurationError(
            "tls_cert and tls_key cannot be read or do not belong together", hint=_reason(files, error)
        ) from None
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except OSError:
            raise ConfigurationError("tls_client_ca cannot be read or holds no certificate") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _reason(files: Files, error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        unread = [str(path) for path in (files.cert, files.key) if not os.access(path, os.R_OK)]
        return f"Not to be read: {', '.join(unread)}." if unread else ""
    if error.reason == "KEY_VALUES_MISMATCH":
        return "The key is another certificate's."
    return f"They are PEM, the key not encrypted: {files.cert} and {files.key}."
