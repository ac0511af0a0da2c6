"""Settings: flags over ``KMS_*`` environment over TOML file over defaults, from one table.

``settings.py`` is the table; ``loading.py`` reads the sources, ``renewal.py`` says what a reload may change,
``page.py`` writes the reference page.
"""

from __future__ import annotations

from ron_kms.config.kinds import Address
from ron_kms.config.knob import Section
from ron_kms.config.loading import Loaded, load
from ron_kms.config.page import reference
from ron_kms.config.renewal import Renewal, renew
from ron_kms.config.settings import Settings, cores
from ron_kms.config.table import CONFIG_ENV, DEFINITIONS, TOKEN_ENV, Definition, tell
from ron_kms.config.where import state_directory

__all__ = [
    "CONFIG_ENV",
    "DEFINITIONS",
    "TOKEN_ENV",
    "Address",
    "Definition",
    "Loaded",
    "Renewal",
    "Section",
    "Settings",
    "cores",
    "load",
    "reference",
    "renew",
    "state_directory",
    "tell",
]
