"""JSON over HTTP/2."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from perf.load.wire import Connection, Request

connect = Connection


def prepare(address: tuple[str, int], token: str, path: str, content: Mapping[str, Any], name: str) -> Request:
    """A POST to ``/v1/kms/``."""
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", f"/v1/kms/{path}"),
        (":authority", f"{address[0]}:{address[1]}"),
        ("authorization", f"Bearer {token}"),
        ("content-type", "application/json"),
        ("content-length", str(len(body))),
    )
    return Request(name, headers, body)
