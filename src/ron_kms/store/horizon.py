"""What a process knows of the changes to keys, so that nothing older than them is used."""

from __future__ import annotations

import threading
from collections import OrderedDict

REMEMBERED = 16_384
"""Keys, at 150 bytes each."""


class Horizon:
    """The number of the last change to each key that this process has heard of. Safe to use from several threads.

    Whatever is read from the store carries ``seen``, the number of the last change of all at that moment. It is
    outdated once its key was changed by a later one, no matter in which order reading and hearing of the change end.
    Beyond ``bound`` keys those heard of longest ago are given up: what is older than their changes counts as outdated
    too, and is read again.
    """

    def __init__(self, bound: int = REMEMBERED) -> None:
        self._bound = bound
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        self._lock = threading.Lock()

    def note(self, uuid: str, n: int) -> None:
        """Change ``n`` was one to this key."""
        with self._lock:
            # Never less than it was, not even for a moment: the others ask without the lock.
            self._changed[uuid] = max(n, self._changed.get(uuid, self._floor))
            self._changed.move_to_end(uuid)
            while len(self._changed) > self._bound:
                self._floor = max(self._floor, next(iter(self._changed.values())))
                self._changed.popitem(last=False)

    def outdated(self, uuid: str, seen: int) -> bool:
        """Whether the key was changed after ``seen``, as far as is known."""
        changed = self._changed.get(uuid)
        # The floor after it: it rises before an entry is given up, so that one of the two always knows.
        return seen < (self._floor if changed is None else changed)

    def __len__(self) -> int:
        """How many keys' changes are remembered."""
        return len(self._changed)
