"""Settings shared by all tests."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.counts import LONG

settings.register_profile("quick", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("long", max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("long" if LONG else "quick")
