"""The application under test."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.api.drive import Edge


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def edge(runner: asyncio.Runner) -> Edge:
    return Edge(runner)
