"""Keys sealed in the store, the root key in a file: the service as it is without any setting."""

from __future__ import annotations

from collections.abc import Mapping

SETTINGS: Mapping[str, str] = {}
