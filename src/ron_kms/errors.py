"""Every error of ron-kms: one tree, one code each.

Two branches say whose fault it is: :class:`CallerError` (HTTP 4xx) and :class:`ServiceError` (HTTP 5xx). A code is the
error's stable name on the wire, and two classes with one code fail at import. Messages are written for the person who
reads them and never contain secrets, payloads or raw input.
"""

from __future__ import annotations

from typing import ClassVar

_CODES: dict[str, type[KmsError]] = {}


class KmsError(Exception):
    """Root of the tree.

    :param message: what happened, in one sentence.
    :param hint: what the reader can do about it; the class has a default.
    :param retry_after: seconds after which trying again makes sense, where that is known.
    """

    code: ClassVar[str] = ""
    http: ClassVar[int] = 500
    grpc: ClassVar[str] = "INTERNAL"
    retryable: ClassVar[bool] = False
    default_hint: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "code" not in cls.__dict__:
            return
        if cls.code in _CODES:
            raise TypeError(f"error code {cls.code} is taken by {_CODES[cls.code].__qualname__}")
        _CODES[cls.code] = cls

    def __init__(self, message: str, *, hint: str | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.retry_after = retry_after


def codes() -> dict[str, type[KmsError]]:
    """All coded errors by code, for documents and tests."""
    return dict(_CODES)


class CallerError(KmsError):
    """The caller can mend it (HTTP 4xx)."""

    http = 400
    grpc = "INVALID_ARGUMENT"


class ServiceError(KmsError):
    """The caller cannot mend it (HTTP 5xx)."""


class BadRequest(CallerError):
    code = "BadRequest"
    default_hint = "Compare the request with the schema at /openapi.json."


class Unsupported(CallerError):
    code = "Unsupported"
    default_hint = "Use one of the suites and forms that /openapi.json lists."


class InvalidSignature(CallerError):
    """Raised by the library's ``verify``; on the wire verify answers ``ok: false`` instead."""

    code = "InvalidSignature"
    default_hint = "Check the message, the key and its version, and that no signature was cut off."


class Unauthenticated(CallerError):
    code = "Unauthenticated"
    http = 401
    grpc = "UNAUTHENTICATED"
    default_hint = "Send a valid, unexpired token: 'Authorization: Bearer <token>'."


class NoCapability(CallerError):
    code = "NoCapability"
    http = 403
    grpc = "PERMISSION_DENIED"
    default_hint = "Ask whoever issued the token for one with the scope that this call needs."


class PolicyRefused(CallerError):
    code = "PolicyRefused"
    http = 403
    grpc = "PERMISSION_DENIED"
    default_hint = "Ask for something at least as strict as policy demands."


class AttestationMissing(CallerError):
    """KMS_ATTESTATION is ``required`` and nothing vouches for where the key is kept."""

    code = "AttestationMissing"
    http = 403
    grpc = "PERMISSION_DENIED"
    default_hint = "Use a key whose backend attests it, or have the operator set KMS_ATTESTATION."


class NotFound(CallerError):
    code = "NotFound"
    http = 404
    grpc = "NOT_FOUND"
    default_hint = "Check the name, and that the token covers its tenant and prefix."


class Conflict(CallerError):
    code = "Conflict"
    http = 409
    grpc = "ABORTED"
    default_hint = "Read the current state, then decide anew."


class KeyDisabled(CallerError):
    code = "KeyDisabled"
    http = 409
    grpc = "FAILED_PRECONDITION"
    default_hint = "Enable the version or rotate the key."


class PreconditionFailed(CallerError):
    """The resource is no longer as ``If-Match`` says."""

    code = "PreconditionFailed"
    http = 412
    grpc = "FAILED_PRECONDITION"
    default_hint = "Read it again, and send its ETag as If-Match."


class TooLarge(CallerError):
    code = "TooLarge"
    http = 413
    grpc = "RESOURCE_EXHAUSTED"
    default_hint = "Split the request: at most 1 MiB and 1,024 items."


class Refused(CallerError):
    """Let in later: a limit is reached.

    :ivar limit: which one, as metrics name it; empty where none has a name.
    """

    http = 429
    grpc = "RESOURCE_EXHAUSTED"
    retryable = True

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: int | None = None, limit: str = ""
    ) -> None:
        super().__init__(message, hint=hint, retry_after=retry_after)
        self.limit = limit


class Backpressure(Refused):
    """There is as much in flight as the service can do in time."""

    code = "Backpressure"
    default_hint = "Try again after Retry-After seconds; have fewer requests in flight."


class RateLimited(Refused):
    """More operations a second than agreed."""

    code = "RateLimited"
    default_hint = "Try again after Retry-After seconds; a batch counts as its items."


class Internal(ServiceError):
    code = "Internal"
    default_hint = "Report it with the request id; the operator's log has the cause."


class StoreCorrupt(ServiceError):
    """A stored row or blob fails its authentication: it was edited, moved or damaged outside ron-kms."""

    code = "StoreCorrupt"
    grpc = "DATA_LOSS"
    default_hint = "The operator must restore the named row from a backup; nothing was used from it."


class StoreUnavailable(ServiceError):
    code = "StoreUnavailable"
    http = 503
    grpc = "UNAVAILABLE"
    retryable = True
    default_hint = "Try again after Retry-After seconds."


class ShuttingDown(ServiceError):
    code = "ShuttingDown"
    http = 503
    grpc = "UNAVAILABLE"
    retryable = True
    default_hint = "Try again on a new connection after Retry-After seconds."


class ConfigurationError(KmsError):
    """A setting, a file or the machine keeps ron-kms from starting; never sent over the wire."""

    code = "ConfigurationError"


class RootKeyError(ConfigurationError):
    """The root key is missing, wrong or readable by others; never answered by making a new one over old data."""

    code = "RootKeyError"


class Restored(ConfigurationError):
    """The store is not the one that it was before, or an older state of it."""

    code = "Restored"
    default_hint = (
        "Put the newer store back; or, if this one is meant to be used from now on and what is missing in it to be"
        " lost: ron-kms restore accept."
    )


class Malformed(KmsError):
    """Bytes of the audit log that are not what its formats say; never sent over the wire."""
