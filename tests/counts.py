"""How often tests repeat: few times by default, at full length with ``RON_KMS_TEST_LONG=1`` (``make test-long``). And
on which server they run."""

from __future__ import annotations

import os

LONG = os.environ.get("RON_KMS_TEST_LONG") == "1"

SERVER = os.environ.get("RON_KMS_TEST_SERVER", "hypercorn")
"""What tests of the whole service start, unless they name a server themselves."""


def count(quick: int, long: int) -> int:
    """The number of rounds, examples or requests for this run."""
    return long if LONG else quick
