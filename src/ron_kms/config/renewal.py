"""What becomes of the settings in force when their sources are read again."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ron_kms.config.checks import contradictions
from ron_kms.config.settings import Settings
from ron_kms.config.table import DEFINITIONS
from ron_kms.errors import ConfigurationError


class Renewal(NamedTuple):
    """:ivar settings: what is to be in force from now on.

    :ivar changed: names of the settings that differ in it.
    :ivar waiting: names of those that differ in their sources and need a restart.
    """

    settings: Settings
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def renew(current: Settings, fresh: Settings) -> Renewal:
    """Take over what may change while the service runs.

    :raises ConfigurationError: it does not go together with what stays as it is.
    """
    differ = [row for row in DEFINITIONS if getattr(current, row.name) != getattr(fresh, row.name)]
    changed = tuple(row.name for row in differ if row.knob.reloads)
    settings = msgspec.structs.replace(current, **{name: getattr(fresh, name) for name in changed})
    faults = contradictions(settings)
    if faults:
        raise ConfigurationError(
            "; ".join(faults), hint="Some of the settings need a restart; until then these do not go together."
        )
    return Renewal(settings, changed, tuple(row.name for row in differ if not row.knob.reloads))
