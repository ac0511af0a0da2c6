"""A worker that has lost a part of itself ends and is replaced.

A thread that died, a report that comes no more, memory that could not be had in the middle of a connection's work: what
is left would wait for it for ever, and so would its clients, for the supervisor replaces only what has ended.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import structlog

from ron_kms.server import logs
from ron_kms.trace import trace

log = structlog.get_logger("ron_kms.worker")


class Surrender:
    """
    :param seconds: asks how long the process may take to end once it has got SIGTERM; then the kernel ends it.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._done = False

    def callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The exception handler of the loop. Only without memory is what was left undone unknown."""
        logs.loop_failure(loop, context)
        if isinstance(context.get("exception"), MemoryError):
            self.now()

    def thread_failed(self, failure: threading.ExceptHookArgs) -> None:
        """The hook of threads; Python's own would print the exception's message, which may quote anything."""
        if not isinstance(failure.exc_value, SystemExit):
            log.critical("a thread failed", thread=getattr(failure.thread, "name", ""), trace=trace(failure.exc_value))
            self.now()

    def task_ended(self, task: asyncio.Task[None]) -> None:
        """For a task that only ends by being cancelled."""
        if not task.cancelled():
            log.critical("a task that never ends has ended", trace=trace(task.exception()))
            self.now()

    def now(self) -> None:
        """Have this process end as SIGTERM has it end. Once: a broken loop may call many times."""
        if self._done:
            return
        self._done = True
        signal.setitimer(signal.ITIMER_REAL, self._seconds())
        os.kill(os.getpid(), signal.SIGTERM)
