"""What the settings say about who is let in."""

from __future__ import annotations

from ron_kms.config import Settings
from ron_kms.engine.gate import Limits
from ron_kms.engine.rates import RateLimits


def gate_limits(settings: Settings) -> Limits:
    """The caps, the floor and the working limit."""
    return Limits(
        sign=settings.max_inflight_sign,
        verify=settings.max_inflight_verify,
        wrap=settings.max_inflight_wrap,
        admin=settings.max_inflight_admin,
        share_min=settings.tenant_share_min,
        max_wait_ms=settings.max_wait_ms,
    )


def rate_limits(settings: Settings) -> RateLimits:
    """The rates that no token names."""
    return RateLimits(tenant=settings.tenant_rate, service=settings.max_rate)
