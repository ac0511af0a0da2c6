"""An opened store for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ron_kms
from ron_kms.service.local import LocalKms


@pytest.fixture
def kms(tmp_path: Path) -> Iterator[LocalKms]:
    with ron_kms.open(f"sqlite:///{tmp_path}/keys.db", seal=f"keyfile:{tmp_path}/root.key") as kms:
        yield kms
