"""Lines to stderr, as long as somebody takes them: a log that is full, gone or not read stops nothing."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable

PATIENCE_MS = 50
"""For a reader that is slow; once for all lines, until it has taken one again."""


class Lines:
    """A process's log. A line goes out in one call, so that the lines of several processes do not mix.

    :param tell: writes a line that so many were lost; it is tried before the next one.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._lost = 0
        self._patience = PATIENCE_MS
        self._torn = False

    def write(self, line: str) -> None:
        lost, self._lost = self._lost, 0
        if lost:
            self._tell(lost)  # comes back here with a line of its own, before this one
            if self._lost:  # which was lost, too; it stands for this one
                self._lost += lost
                return
        if self._take(line + "\n"):
            self._patience = PATIENCE_MS
        else:
            self._lost += 1
            self._patience = 0

    def _take(self, text: str) -> bool:
        try:
            fd = sys.stderr.fileno()
        except (OSError, ValueError):  # something that is no file stands for it
            sys.stderr.write(text)
            return True
        return self._put(fd, text.encode(errors="backslashreplace"))

    def _put(self, fd: int, line: bytes) -> bool:
        left = b"\n" + line if self._torn else line
        try:
            # What has room takes PIPE_BUF bytes without a wait, but a pipe may not take more.
            piece = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else len(left)
            room = select.poll()
            room.register(fd, select.POLLOUT)
            while left and room.poll(self._patience):
                left = left[os.write(fd, left[:piece]) :]
        except OSError:  # the disk is full, the reader gone
            pass
        self._torn = 0 < len(left) < len(line) or (self._torn and bool(left))
        return not left
