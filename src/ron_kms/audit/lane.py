"""The short way of a group to the disk: from an event loop to a thread without the GIL, and back.

A thread of Python's that has written must wait for the GIL before it can tell anybody, and wakes the loop twice on its
way: 150 microseconds of the processor where one record is under way, of which the disk takes 40. Here the loop is woken
once, by a descriptor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from ron_kms import _core


class Lane:
    """One group at a time; for the thread of the event loop, but for :meth:`wait`.

    :param loop: runs in this thread.
    :param done: called on it when what was started may be done.
    :raises OSError, CoreError: there is no descriptor or no thread left.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, done: Callable[[], None]) -> None:
        self.loop = loop
        self._done = done
        self._told = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._writer = _core.Writer(self._told)
        except BaseException:
            os.close(self._told)
            raise
        loop.add_reader(self._told, self._look)

    def start(self, fd: int, data: bytes, *, sync: bool) -> None:
        """Have data written where the file stands, and on the disk where ``sync`` says so."""
        self._writer.order(fd, data, sync=sync)

    def outcome(self) -> OSError | bool:
        """Of what was started, told once: True where it is done, False where it is not yet."""
        number = self._writer.outcome()
        return OSError(number, os.strerror(number)) if number else number == 0

    def wait(self) -> None:
        """Until nothing is under way; on any thread."""
        self._writer.wait()

    def close(self) -> None:
        """After what is under way; on any thread, while the loop is not running elsewhere."""
        self._writer.close()
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self.loop.remove_reader(self._told)
        os.close(self._told)

    def _look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._told, 8)
        self._done()
