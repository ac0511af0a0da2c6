"""A log that nobody can write ends nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SPEAKER = """
import logging, os, sys, threading
from ron_kms.server import logs
logs.configure("info")
def speak():
    for number in range(500):
        logging.getLogger("ron_kms.audit").error("a line that finds no room, %d", number)
    print("went on", flush=True)
threading.excepthook = lambda args: print(args.exc_type, flush=True)
thread = threading.Thread(target=speak)
thread.start()
thread.join()
os._exit(0)
"""


@pytest.mark.parametrize("gone", ["full", "closed"])
def test_a_thread_goes_on_where_its_lines_find_no_room(gone: str) -> None:
    if gone == "full":
        stderr = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, stderr = os.pipe()
        os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", SPEAKER], stdout=subprocess.PIPE, stderr=stderr, text=True, timeout=60, check=False
        )
    finally:
        os.close(stderr)
    assert (done.returncode, done.stdout) == (0, "went on\n")
