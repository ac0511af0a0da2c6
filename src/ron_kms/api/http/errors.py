"""The error envelope: ``{"error": {code, message, retryable, hint, ts, request_id}}`` in the asked format."""

from __future__ import annotations

import traceback
from datetime import UTC, datetime

import msgspec
import structlog

from ron_kms.errors import ConfigurationError, Internal, KmsError, ServiceError, Unauthenticated

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


def coded(error: Exception, request_id: str, op: str) -> KmsError:
    """The error as the caller may see it; what is our fault is logged here, once.

    An exception without a code becomes :class:`~ron_kms.errors.Internal`. Its message stays out of the log as it does
    out of the answer, for it may quote input: the log gets the types and the places in the code.
    """
    if isinstance(error, KmsError) and error.code and not isinstance(error, ConfigurationError):
        if isinstance(error, ServiceError):
            log.warning("refused", code=error.code, message=error.message, op=op, request_id=request_id)
        return error
    log.error("internal error", op=op, request_id=request_id, trace=_trace(error))
    return Internal("something failed inside the service")


def _trace(error: BaseException) -> list[str]:
    """Types and places of an exception and of those behind it, outermost first, without their messages."""
    lines: list[str] = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        lines.append(f"{type(current).__module__}.{type(current).__qualname__}")
        lines += [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(current.__traceback__)
        ]
        current = current.__cause__ or current.__context__
    return lines
