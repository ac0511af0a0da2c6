"""Settings from their sources: flags over ``KMS_*`` environment over TOML file over defaults.

Values that are wrong are named, all at once, and never repeated, for a value in the wrong place may be a secret.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ron_kms.config.checks import contradictions
from ron_kms.config.settings import Settings
from ron_kms.config.table import CONFIG_ENV, DEFINITIONS
from ron_kms.errors import ConfigurationError


class Loaded(NamedTuple):
    """Settings, and what a reader of the log should know about how they came to be."""

    settings: Settings
    warnings: list[str]


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Settings from all sources.

    :param flags: values by setting name, None where a flag was not given; ``config`` is the TOML file.
    :param environ: usually ``os.environ``. Names that begin with ``KMS_`` and mean nothing are warned of.
    :raises ConfigurationError: with all faults at once.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    file, origin = flags.get("config"), "--config"
    if file is None and (file := environ.get(CONFIG_ENV)):
        origin = CONFIG_ENV
    if file:
        for name, value in _file(Path(file), origin, faults).items():
            _take(values, faults, name, value, f"{name} in the file of {origin}")
    for definition in DEFINITIONS:
        if definition.env in environ:
            _take(values, faults, definition.name, environ[definition.env], definition.env)
        if flags.get(definition.name) is not None:
            _take(values, faults, definition.name, flags[definition.name], definition.flag)
    known = {definition.env for definition in DEFINITIONS} | {CONFIG_ENV}
    strange = sorted(name for name in environ if name.startswith("KMS_") and name not in known)
    settings = Settings(**values)
    faults += contradictions(settings)
    if faults:
        raise ConfigurationError(
            faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} settings are wrong:", *faults]),
            hint="ron-kms serve --help lists the settings.",
        )
    return Loaded(settings, [f"{name} is not a setting of this version and changes nothing" for name in strange])


def _file(path: Path, origin: str, faults: list[str]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        faults.append(f"the file of {origin} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        faults.append(f"the file of {origin} is not TOML")
    return {}


def _take(values: dict[str, Any], faults: list[str], name: str, value: Any, origin: str) -> None:
    definition = next((row for row in DEFINITIONS if row.name == name), None)
    if definition is None:
        # Its name may be a secret in the wrong place too, but without it nobody could find it.
        faults.append(f"{origin} is not a setting")
        return
    try:
        values[name] = definition.knob.kind.read(value)
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError):
        faults.append(f"{origin} must be {definition.knob.kind.expects}")
