"""The table of settings as rows: each with all its names."""

from __future__ import annotations

from typing import Any, NamedTuple, get_type_hints

import msgspec

from ron_kms.config.kinds import SWITCH
from ron_kms.config.knob import Knob
from ron_kms.config.settings import Settings

CONFIG_ENV = "KMS_CONFIG"
"""The TOML file; the flag is ``--config``."""

TOKEN_ENV = "KMS_TOKEN_FILE"  # noqa: S105 - a variable's name
"""The token of commands that call a service, which is no setting of the service."""


class Definition(NamedTuple):
    """One row of the table."""

    name: str
    env: str
    flag: str
    knob: Knob
    default: str
    """In words."""
    switch: bool


def _definitions() -> tuple[Definition, ...]:
    hints = get_type_hints(Settings, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(Settings):
        (knob,) = hints[field.name].__metadata__
        default = knob.shown
        if default is None:
            default = f"{field.default:.10g}" if isinstance(field.default, float) else str(field.default)
        rows.append(
            Definition(
                name=field.name,
                env="KMS_" + field.name.upper(),
                flag="--" + field.name.replace("_", "-"),
                knob=knob,
                default=default.lower() if isinstance(field.default, bool) else default,
                switch=knob.kind is SWITCH,
            )
        )
    return tuple(rows)


DEFINITIONS = _definitions()
"""Every setting, in the order of its fields."""


def tell(settings: Settings) -> dict[str, Any]:
    """Every value by its name, as people and scripts may see it: without secrets, as plain JSON values."""
    return {row.name: row.knob.kind.tell(getattr(settings, row.name)) for row in DEFINITIONS}
