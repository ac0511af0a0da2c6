"""Where the service keeps its keys: a module here for each profile, found by its name.

A profile has ``SETTINGS``, the service's settings by their names in small letters.
"""

from __future__ import annotations

from perf.load.later import load

LATER = ("hsm",)


def settings(name: str) -> dict[str, str]:
    """:raises NotYet: it has not come."""
    return dict(load(__name__, name, LATER).SETTINGS)
