"""What a process knows of the changes to keys, so that nothing older than them is used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 16_384
"""Keys, at 150 bytes each."""


class Horizon:
    """The number of the last change to each key that this process has heard of. Safe to use from several threads.

    Whatever is read from the store carries ``seen``, the number of the last change of all at that moment. It is
    outdated once its key was changed by a later one, no matter in which order reading and hearing of the change end.
    Beyond ``bound`` keys those heard of longest ago are given up: what is older than their changes counts as outdated
    too, and is read again, unless whoever keeps it has let go of everything outdated in time (:meth:`on_change`).

    :ivar floor: what has seen less counts as outdated, also without a change to it that is remembered.
    :ivar heard: every change to a key up to this number was heard of, and those told by :meth:`on_change` know it.
    :ivar count: how many changes were heard of.
    """

    def __init__(self, bound: int = REMEMBERED) -> None:
        self._bound = bound
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._told: list[Callable[[str | None], None]] = []
        self._lock = threading.Lock()
        self.floor = 0
        self.heard = 0
        self.count = 0

    def on_change(self, told: Callable[[str | None], None]) -> None:
        """Have ``told`` given the uuid of every key that a change is heard of, after it counts; None for any key."""
        self._told.append(told)

    def note(self, uuid: str, n: int) -> None:
        """Change ``n`` was one to this key."""
        with self._lock:
            # Never less than it was, not even for a moment: the others ask without the lock.
            self._changed[uuid] = max(n, self._changed.get(uuid, self.floor))
            self._changed.move_to_end(uuid)
            while len(self._changed) > self._bound:
                self.floor = max(self.floor, next(iter(self._changed.values())))
                self._changed.popitem(last=False)
            self.count += 1
        for told in self._told:
            told(uuid)

    def lose(self, n: int) -> None:
        """Any key may have been changed up to ``n``."""
        with self._lock:
            self.floor = max(self.floor, n)
            for uuid in [uuid for uuid, changed in self._changed.items() if changed <= self.floor]:
                del self._changed[uuid]
            self.count += 1
        for told in self._told:
            told(None)
        self.catch_up(n)

    def catch_up(self, n: int) -> None:
        """Every change to a key up to ``n`` was noted."""
        self.heard = max(self.heard, n)

    def outdated(self, uuid: str, seen: int) -> bool:
        """Whether the key was changed after ``seen``, as far as is known."""
        changed = self._changed.get(uuid)
        # The floor after it: it rises before an entry is given up, so that one of the two always knows.
        return seen < (self.floor if changed is None else changed)

    def __len__(self) -> int:
        """How many keys' changes are remembered."""
        return len(self._changed)
