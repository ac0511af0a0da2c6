"""Lines about requests: whom they name, and that a flood of refusals is not a flood of lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from ron_kms.api.http.journal import REFUSALS_A_SECOND, Journal
from ron_kms.errors import Backpressure
from ron_kms.model import Caller, Kid
from ron_kms.service.operation import Context

KID = Kid.parse("acme/audit/01932c07-209c-7e1b-8f31-2f1c4c0d5f1a#v1")
REFUSED = Backpressure("full", retry_after=1)


@pytest.fixture
def level() -> Iterator[logging.Logger]:
    logger = logging.getLogger("ron_kms")
    before = logger.level
    yield logger
    logger.setLevel(before)


def _context() -> Context:
    return Context(Caller(token_id="t-1", scopes=frozenset(), tenant="other"), "r-1", alg="ed25519", kid=KID)


def test_a_line_names_the_key_by_its_hash(level: logging.Logger) -> None:
    level.setLevel(logging.DEBUG)
    with capture_logs() as lines:
        Journal().tell("sign", "r-1", _context(), None, 0.0012345)
        Journal().tell("sign", "r-1", None, REFUSED, 0.001)
    assert lines[0] == {
        "event": "a request was answered",
        "log_level": "debug",
        "op": "sign",
        "request_id": "r-1",
        "result": "ok",
        "ms": 1.234,
        "actor": "t-1",
        "alg": "ed25519",
        "key": lines[0]["key"],
        "tenant": "acme",
    }
    assert len(lines[0]["key"]) == 8
    assert (lines[1]["result"], lines[1]["status"]) == ("Backpressure", 429)


def test_refusals_are_told_up_to_a_bound(level: logging.Logger) -> None:
    level.setLevel(logging.INFO)
    journal = Journal()
    with capture_logs() as lines:
        journal.tell("sign", "r-1", _context(), None, 0.001)
        for _ in range(1000):
            journal.tell("sign", "r-1", _context(), REFUSED, 0.001)
    assert 0 < len(lines) <= 3 * REFUSALS_A_SECOND
    assert {line["event"] for line in lines} == {"a request was refused"}
    assert sum(line["untold"] for line in lines) + len(lines) <= 1000
    level.setLevel(logging.WARNING)
    with capture_logs() as lines:
        journal.tell("sign", "r-1", _context(), REFUSED, 0.001)
    assert not lines
