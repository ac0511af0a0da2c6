"""The error envelope: ``{"error": {code, message, retryable, hint, ts, request_id}}`` in the asked format."""

from __future__ import annotations

import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog

from ron_kms.errors import CallerError, Internal, KmsError, ServiceError, Unauthenticated
from ron_kms.trace import trace

log = structlog.get_logger("ron_kms.api")

DEFAULT_RETRY_AFTER = 1
"""Seconds, where an error that asks for patience does not know better."""


class ErrorBody(msgspec.Struct, frozen=True):
    """What went wrong, for programs (``code``, ``retryable``) and for people."""

    code: str
    message: str
    retryable: bool
    hint: str
    ts: str
    request_id: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """The body of every answer that is not 2xx."""

    error: ErrorBody


def envelope(error: KmsError, request_id: str) -> ErrorAnswer:
    """The answer's body for this error; ``ts`` is RFC 3339 UTC with milliseconds."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return ErrorAnswer(ErrorBody(error.code, error.message, error.retryable, error.hint, now, request_id))


def extra_headers(error: KmsError) -> list[tuple[bytes, bytes]]:
    """``Retry-After`` on 429 and 503 (RFC 9110 10.2.3), ``WWW-Authenticate`` on 401 (RFC 6750 3)."""
    if error.http in (429, 503):
        return [(b"retry-after", b"%d" % max(1, error.retry_after or DEFAULT_RETRY_AFTER))]
    if isinstance(error, Unauthenticated):
        return [(b"www-authenticate", b'Bearer realm="ron-kms"')]
    return []


class Reporter:
    """Says what a caller may see of an error, and logs what is our fault.

    The log gets one line a second of each code and operation, with the number of those left out since, so that a store
    that is away for a minute at full load does not fill a disk.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}
        self._untold: Counter[tuple[str, str]] = Counter()

    def coded(self, error: Exception, request_id: str, op: str) -> KmsError:
        """The error itself where it has a code for the wire, :class:`~ron_kms.errors.Internal` for all others.

        Their messages stay out of the log as they do out of the answer, for they may quote input: the log gets the
        types and the places in the code.
        """
        if isinstance(error, CallerError) and error.code:
            return error
        if isinstance(error, ServiceError) and error.code:
            self._log(error.code, op, request_id, message=error.message)
            return error
        self._log(Internal.code, op, request_id, trace=trace(error))
        return Internal("something failed inside the service")

    def _log(self, code: str, op: str, request_id: str, **details: Any) -> None:
        about = (code, op)
        now = time.monotonic()
        if now - self._told.get(about, -1.0) < 1.0:
            self._untold[about] += 1
            return
        self._told[about] = now
        log.error(
            "a request failed", code=code, op=op, request_id=request_id, untold=self._untold.pop(about, 0), **details
        )
