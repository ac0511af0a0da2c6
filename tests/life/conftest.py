"""A service in this process for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ron_kms.service.local import LocalKms
from tests.life.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def kms(place: Place) -> Iterator[LocalKms]:
    with place.open() as kms:
        yield kms
