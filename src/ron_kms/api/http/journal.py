"""A line in the log for each request: at level debug for all, at info for those that were refused.

It says who asked for what and what came of it, by names that are no secrets: request id, tenant, the token's id, and
the first eight digits of the BLAKE3 digest of the kid, so that lines about one key can be found by who knows its kid.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import structlog
from blake3 import blake3

from ron_kms.errors import KmsError
from ron_kms.service.operation import Context

REFUSALS_A_SECOND = 20
"""Lines about refused requests; what is above is counted in the next one, for clients can cause any number."""

_log = structlog.get_logger("ron_kms.request")
_level = logging.getLogger("ron_kms.request")


class Journal:
    """Of one application."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._untold = 0

    def tell(self, op: str, request_id: str, context: Context | None, error: KmsError | None, seconds: float) -> None:
        """:param context: None where it is not known who asks.
        :param error: None where it was done.
        """
        if error is None:
            if _level.isEnabledFor(logging.DEBUG):
                _log.debug("a request was answered", **_about(op, request_id, context, "ok", seconds))
        elif _level.isEnabledFor(logging.DEBUG) or (_level.isEnabledFor(logging.INFO) and self._has_room()):
            untold, self._untold = self._untold, 0
            about = _about(op, request_id, context, error.code, seconds)
            _log.info("a request was refused", status=error.http, untold=untold, **about)

    def _has_room(self) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= REFUSALS_A_SECOND:
            return True
        self._untold += 1
        return False


def _about(op: str, request_id: str, context: Context | None, result: str, seconds: float) -> dict[str, Any]:
    about: dict[str, Any] = {"op": op, "request_id": request_id, "result": result, "ms": round(seconds * 1e3, 3)}
    if context is not None:
        about["actor"] = context.caller.token_id
        about["alg"] = context.alg
        kid = context.kid
        if kid is not None:
            about["key"] = blake3(str(kid).encode()).hexdigest()[:8]
        tenant = context.caller.tenant if kid is None else kid.tenant
        if tenant is not None:
            about["tenant"] = tenant
    return about
