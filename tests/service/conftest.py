"""Stores opened by the library, as :func:`ron_kms.open` does it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import ron_kms
from ron_kms.service.local import LocalKms
from tests.service.place import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def kms(place: Place) -> Iterator[LocalKms]:
    """Of the test's own."""
    with place.open() as kms:
        yield kms


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKms]:
    """For tests that only add keys."""
    folder = tmp_path_factory.mktemp("shared")
    with ron_kms.open(f"sqlite:///{folder}/keys.db", seal=f"keyfile:{folder}/root.key") as kms:
        yield kms
