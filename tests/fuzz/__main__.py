"""Run one target under atheris, or all of them one after another: ``python -m tests.fuzz json -max_total_time=60``,
with libFuzzer's own options.

A finding is written to the folder where it was started; put it, as small as it gets, into ``findings.py``, where it
becomes a test.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ron_kms"]):
    from tests.fuzz.targets import LONGEST, TARGETS


def main() -> None:
    names = [*TARGETS] if sys.argv[1:2] == ["all"] else sys.argv[1:2]
    if not names or not set(names) <= set(TARGETS):
        sys.exit(f"usage: python -m tests.fuzz {{all|{'|'.join(TARGETS)}}} [libFuzzer options]")
    failed = [name for name in names if _fuzz(name, sys.argv[2:])]
    sys.exit(f"found something in {', '.join(failed)}" if failed else 0)


def _fuzz(name: str, options: list[str]) -> bool:
    """In a child, for the fuzzer ends its process; whether it found something."""
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(TARGETS[name].seeds):
            Path(corpus, str(number)).write_bytes(seed)
        child = os.fork()
        if child == 0:
            atheris.Setup([sys.argv[0], f"-max_len={LONGEST}", *options, corpus], TARGETS[name].fuzz)
            atheris.Fuzz()
        return os.waitpid(child, 0)[1] != 0


if __name__ == "__main__":
    main()
