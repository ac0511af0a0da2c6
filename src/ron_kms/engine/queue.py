"""Where a piece of cryptography runs.

Handing work to a thread costs 60 to 110 microseconds, so what is estimated to take at most 200 runs at once, where it
was asked for; what costs more goes to a crypto thread, which works with the GIL released while the event loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

INLINE_MICROS = 200.0


class CryptoQueue:
    """Runs cryptography for one event loop, or (without threads) for a caller who waits for it anyway.

    :param threads: crypto threads, one for each core that the process may use; 0 runs everything at once.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="crypto") if threads else None

    async def run(self, micros: float, work: Callable[[], T]) -> T:
        """Do the work and give its result.

        :param micros: its estimated cost in microseconds.
        """
        if self._pool is None or micros <= INLINE_MICROS:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def wait_micros(self, tenant: str | None, *, large: bool = False) -> float:  # noqa: ARG002
        """Nothing waits here but for a thread."""
        return 0.0

    def close(self) -> None:
        """Let running work end and take no more."""
        if self._pool is not None:
            self._pool.shutdown()
