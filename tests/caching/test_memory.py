"""Keys that nobody uses any more take no memory."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ron_kms.server.memory import Slack


@pytest.mark.skipif(Slack()._trim is None, reason="a libc of another kind")
def test_what_was_swept_is_given_back() -> None:
    told = json.loads(subprocess.check_output([sys.executable, "-m", "tests.caching.idle"]))
    assert told["filled"] >= 0.8
    assert told["left"] <= 0.45
