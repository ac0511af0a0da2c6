"""What is large takes turns of its own, to be decoded and to be encoded; what is small never waits for one."""

from __future__ import annotations

import msgspec
import pytest

from tests.api.drive import ALL, JSON, Edge


@pytest.mark.parametrize(("items", "padding", "turns"), [(1, 0, 0), (128, 0, 0), (129, 0, 1), (1024, 40, 2)])
def test_a_batch(edge: Edge, items: int, padding: int, turns: int) -> None:
    body = msgspec.json.encode({"items": [{"name": "a", "data": b"x" * padding}] * items})
    assert edge.call("POST", "/v1/kms/things:batch", body, ALL, JSON).status == 200
    assert edge.kms.queue.turns == turns


def test_a_large_single_request_is_decoded_in_a_turn_of_its_own(edge: Edge) -> None:
    edge.post("/v1/kms/things", {"name": "a", "data": b"x" * 20_000})
    edge.post("/v1/kms/things", {"name": "a", "data": b"x" * 10_000})
    assert edge.kms.queue.turns == 1
