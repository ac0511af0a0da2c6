"""Memory that the caches have let go of goes back to the system."""

from __future__ import annotations

import asyncio
import ctypes

_SWEPT_BYTES = 16 << 20
"""So much has to be let go of for it to be worth a look at all free memory: 7 ms, off the event loop."""


class Slack:
    """glibc keeps what is freed between what is not; a cache of many small objects would stay resident for ever."""

    def __init__(self) -> None:
        self._given = 0
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none

    async def give_back(self, swept: int) -> None:
        """:param swept: bytes that were let go of so far, since the process began."""
        if self._trim is not None and swept - self._given >= _SWEPT_BYTES:
            self._given = swept
            await asyncio.to_thread(self._trim, 0)
