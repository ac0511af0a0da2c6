"""A terminal of its own for a command that asks for something."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

from tests.server.service import environment


def type_to(data_dir: Path, arguments: list[str], answers: list[str], **settings: str) -> tuple[int, str]:
    """Run ``ron-kms`` at a new terminal, give an answer at every prompt: the exit code, and all that could be seen."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable, [sys.executable, "-m", "ron_kms.cli.main", *arguments], environment(data_dir, **settings)
        )
    seen = b""
    waiting = list(answers)
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.5)[0]:
                continue
            try:
                more = os.read(terminal, 4096)
            except OSError:  # the command has ended
                break
            if not more:
                break
            seen += more
            if waiting and seen.endswith(b": "):
                os.write(terminal, waiting.pop(0).encode() + b"\n")
                seen += b"<asked>"
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert not waiting, seen
    return os.waitstatus_to_exitcode(status), seen.decode()
