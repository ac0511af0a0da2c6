"""Amnesia: what the settings are when nothing may be written to disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ron_kms.config.kinds import Address

SHARED = Path("/dev/shm")  # noqa: S108 - who owns what is made there is checked
"""A file system that is memory."""

MEMORY = "memory"
"""The seal of a root key that rests nowhere."""

_ON_DISK = ("data_dir", "store_url", "seal", "passphrase_file")


def prefix() -> str:
    """How the names of this user's folders begin."""
    return f"ron-kms-amnesia-{os.getuid()}-"


def forget(values: dict[str, Any], sources: Mapping[str, str], http_addr: Address) -> list[str]:
    """Fill in what amnesia leaves no choice about; returns what was given and contradicts it, a sentence each."""
    faults = [
        f"{name} is given (by the {sources[name]}) and amnesia writes nothing to disk: leave it out"
        for name in _ON_DISK
        if sources[name] != "default"
    ]
    if values.setdefault("workers", 1) != 1:
        faults.append("workers is more than 1, and amnesia has one worker")
    # The address, so that scripts know the folder and two services do not meet; a free port has no name yet.
    place = f"{http_addr.host.replace(':', '_')}-{http_addr.port or f'0-{os.getpid()}'}"
    values |= {"data_dir": SHARED / f"{prefix()}{place}", "store_url": "", "seal": MEMORY, "passphrase_file": None}
    return faults
