"""Services that tests share; those that are stopped, killed or edited are made by their tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service import Service
from tests.e2e.wire import JSON, MSGPACK, Client


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One worker."""
    with Service(tmp_path_factory.mktemp("one") / "data") as service:
        yield service


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("two") / "data", workers=2) as service:
        yield service


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Of a service that the test may break."""
    return tmp_path / "data"


@pytest.fixture
def admin(service: Service) -> Iterator[Client]:
    with service.client() as client:
        yield client


@pytest.fixture(params=[JSON, MSGPACK], ids=["json", "msgpack"])
def client(service: Service, request: pytest.FixtureRequest) -> Iterator[Client]:
    """The administrator's, once in each format."""
    with service.client(media=request.param) as client:
        yield client
