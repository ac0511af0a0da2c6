"""A store and its logs for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ron_kms.store.bootstrap import Store
from tests.audit.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def store(place: Place) -> Iterator[Store]:
    opened = place.store()
    yield opened
    opened.close()
