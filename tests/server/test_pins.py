"""The guards lean on the insides of these versions; whoever moves them reads the guards again first."""

from __future__ import annotations

import hashlib
import importlib
from importlib.metadata import version
from pathlib import Path

import pytest

SEEN = {
    "hypercorn": "0.18.0",
    "h2": "4.4.1",
    "h11": "0.16.0",
    "hpack": "4.2.0",
    "hyperframe": "6.1.0",
    "granian": "2.8.7",
}

DIGESTS = {
    "hypercorn.asyncio.tcp_server": "a1919b81b1075068",
    "hypercorn.asyncio.task_group": "71257bea26162a3e",
    "hypercorn.asyncio.worker_context": "b1f2929943535272",
    "hypercorn.protocol.h2": "4023f69abd2239e5",
    "hypercorn.protocol.h11": "5d2cfe635578adc6",
    "hypercorn.protocol.http_stream": "b28bb59de67f2f28",
    "hypercorn.protocol.events": "d22d1846c7821b3f",
    "h2.connection": "8283e14ad0875ecd",
    "h2.stream": "a52bed21bc71d78f",
    "hpack.table": "500937f5f52433fa",
    "hpack.hpack": "4ab14aab1a856cee",
    "granian._futures": "234807a154d089e2",
    "granian.server.embed": "abd0b8b8cb752a09",
    "h2.frame_buffer": "37febf771e389290",
}

_ADVICE = (
    "{name} has changed: read it again next to src/ron_kms/server/guards/ or granian/, run tests/server with "
    "RON_KMS_TEST_LONG=1, then write down here what was seen."
)


@pytest.mark.parametrize("name", SEEN)
def test_versions(name: str) -> None:
    assert version(name) == SEEN[name], _ADVICE.format(name=name)


@pytest.mark.parametrize("name", DIGESTS)
def test_sources(name: str) -> None:
    file = importlib.import_module(name).__file__
    assert file is not None
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] == DIGESTS[name], _ADVICE.format(name=name)
