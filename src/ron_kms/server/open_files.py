"""How many files a process may have open: as many as its connections need."""

from __future__ import annotations

import resource

import structlog

_BESIDES = 128
"""What a process has open besides connections."""

log = structlog.get_logger("ron_kms.open_files")


def bound_open_files(connections: int) -> None:
    """So that connections which have not agreed on TLS yet, and are not counted before, are bounded too; holds for this
    process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _BESIDES
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    if files < wanted:
        log.warning("fewer files may be open than max_connections needs", files=files, wanted=wanted)
