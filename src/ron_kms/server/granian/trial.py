"""Whether Granian's TLS takes certificate files, tried in a process of its own.

rustls ends in a panic on what it cannot use, which Rust tells on stderr in its own words; ``make_context`` of
``server/tls.py`` has said before what is plainly wrong.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

from ron_kms.errors import ConfigurationError
from ron_kms.server.guards.limits import Limits
from ron_kms.server.tls import Files

_SECONDS = 30


def check_files(files: Files) -> None:
    """:raises ConfigurationError: it does not take them."""
    arguments = [str(path) for path in files if path is not None]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "ron_kms.server.granian.trial", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError("Granian's TLS could not be tried: the machine is too slow") from None
    if done.returncode:
        raise ConfigurationError(
            "Granian's TLS cannot use tls_cert, tls_key or tls_client_ca",
            hint="Its certificates are RSA, ECDSA with P-256 or P-384, or Ed25519.",
        )


def main() -> None:
    """The process: a listener that begins with the files and ends."""
    from ron_kms.server.granian.serve import Listener  # noqa: PLC0415 - an extra

    cert, key, *client_ca = map(Path, sys.argv[1:])
    files = Files(cert, key, client_ca[0] if client_ca else None)
    with socket.create_server(("127.0.0.1", 0)) as sock:
        Listener(asyncio.new_event_loop(), None, sock, Limits(), files)
        os._exit(0)  # Rust's threads must not meet Python's end: they panic


if __name__ == "__main__":
    main()
