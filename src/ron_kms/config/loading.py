"""Settings from their sources: flags over ``KMS_*`` environment over TOML file over defaults.

Values that are wrong are named, all at once, and never repeated, for a value in the wrong place may be a secret.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ron_kms.config.amnesia import forget
from ron_kms.config.checks import contradictions
from ron_kms.config.settings import Settings
from ron_kms.config.table import CONFIG_ENV, DEFINITIONS, TOKEN_ENV
from ron_kms.errors import ConfigurationError

_PLACE = re.compile(r"line \d+, column \d+")


class Loaded(NamedTuple):
    """Settings, and what a reader of the log should know about how they came to be."""

    settings: Settings
    warnings: list[str]
    sources: dict[str, str]
    """Who has given each value: ``flag``, ``environment``, ``file`` or ``default``."""


def load(flags: Mapping[str, Any], environ: Mapping[str, str]) -> Loaded:
    """Settings from all sources.

    :param flags: values by setting name, None where a flag was not given; ``config`` is the TOML file.
    :param environ: usually ``os.environ``. Names that begin with ``KMS_`` and mean nothing are warned of.
    :raises ConfigurationError: with all faults at once.
    """
    reading = _Reading()
    file, origin = flags.get("config"), "--config"
    if file is None and (file := environ.get(CONFIG_ENV)):
        origin = CONFIG_ENV
    if file:
        reading.take_file(Path(file), origin)
    for definition in DEFINITIONS:
        if definition.env in environ:
            reading.take(definition.name, environ[definition.env], definition.env, "environment")
        if flags.get(definition.name) is not None:
            reading.take(definition.name, flags[definition.name], definition.flag, "flag")
    known = {definition.env for definition in DEFINITIONS} | {CONFIG_ENV, TOKEN_ENV}
    strange = sorted(name for name in environ if name.startswith("KMS_") and name not in known)
    faults = reading.faults
    settings = Settings(**reading.values)
    if settings.amnesia:
        faults += forget(reading.values, reading.sources, settings.http_addr)
        settings = Settings(**reading.values)
    faults += contradictions(settings)
    if faults:
        raise ConfigurationError(
            faults[0] if len(faults) == 1 else "\n  ".join([f"{len(faults)} settings are wrong:", *faults]),
            hint="`ron-kms config explain NAME` tells about a setting.",
        )
    warnings = [f"{name} is not a setting of this version and changes nothing" for name in strange]
    return Loaded(settings, warnings, reading.sources)


class _Reading:
    """Values as they come in, the later ones over the earlier, and all that is wrong with them."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.sources = dict.fromkeys((row.name for row in DEFINITIONS), "default")
        self.faults: list[str] = []

    def take_file(self, path: Path, origin: str) -> None:
        try:
            with path.open("rb") as file:
                values = tomllib.load(file)
        except OSError as error:
            self.faults.append(f"the file of {origin} cannot be read: {error.strerror}")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            # Only the place: the rest of the parser's message may repeat what is there.
            place = _PLACE.search(str(error))
            self.faults.append(f"the file of {origin} is not TOML" + (f": see {place[0]}" if place else ""))
        else:
            for name, value in values.items():
                self.take(name, value, f"{name} in the file of {origin}", "file")

    def take(self, name: str, value: Any, origin: str, source: str) -> None:
        definition = next((row for row in DEFINITIONS if row.name == name), None)
        if definition is None:
            # Its name may be a secret in the wrong place too, but without it nobody could find it.
            close = difflib.get_close_matches(name, [row.name for row in DEFINITIONS], 1)
            self.faults.append(f"{origin} is not a setting" + (f", but {close[0]} is" if close else ""))
            return
        try:
            self.values[name] = definition.knob.kind.read(value)
        except (ValueError, TypeError, KeyError, OverflowError, RuntimeError):
            self.faults.append(f"{origin} must be {definition.knob.kind.expects}")
        else:
            self.sources[name] = source
