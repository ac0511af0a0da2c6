"""A log that nobody can write ends nothing."""

from __future__ import annotations

import json
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
if sys.argv[1:]:
    sys.stdin.readline()
    logging.getLogger("ron_kms.audit").error("read again")
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


@pytest.mark.parametrize("words", ["", "x" * 5000], ids=["short", "long"])
def test_lines_that_nobody_reads_are_counted_and_stop_nothing(words: str) -> None:
    command = [sys.executable, "-c", SPEAKER.replace("%d", "%d" + words), "wait"]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **streams) as speaker:
        assert speaker.stdin is not None
        assert speaker.stdout is not None
        assert speaker.stderr is not None
        try:
            assert speaker.stdout.readline() == "went on\n"
            heard = os.read(speaker.stderr.fileno(), 1 << 20).decode()
            speaker.stdin.write("\n")
            speaker.stdin.flush()
            heard += speaker.stderr.read()
        finally:
            speaker.kill()
    lines = heard.splitlines()
    whole = [json.loads(line) for line in lines if line.endswith("}")]
    assert len(lines) - len(whole) <= 1, "more than one line is torn"
    assert [line["msg"] for line in whole[-2:]] == ["lines of the log were lost", "read again"]
    assert whole[-2]["lines"] + len(whole) - 2 == 500
