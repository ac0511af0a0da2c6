"""``python -m ron_kms.config > docs/configuration.md``"""

from __future__ import annotations

from ron_kms.config.page import reference

print(reference(), end="")  # noqa: T201
