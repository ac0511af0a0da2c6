"""Which signatures that are accepted now a later phase would refuse: counted in bounded memory, since the start."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ron_kms.policy.pq import Reason

VERSIONS_MAX = 4096
"""A worker keeps count of so many versions, some 200 bytes each; the least recently verified one makes room."""


class Sighting(msgspec.Struct, array_like=True):
    """One version whose signatures a later phase would refuse.

    :ivar kid: with its version.
    :ivar phase: a phase that would refuse them.
    :ivar count: how many were verified.
    :ivar last: when the last one was, in seconds since 1970.
    """

    kid: str
    phase: int
    reason: Reason
    count: int = 0
    last: float = 0.0


class Recent(msgspec.Struct):
    """What one or several workers have seen; ``lost`` counts versions that had to make room."""

    sightings: list[Sighting]
    lost: int = 0
    since: float = 0.0


class RecentCounter:
    """Counts for one process. Safe to use from several threads.

    :param place: a file in a folder that the workers of one service share; what their files hold is counted too. The
        file is taken over from the worker that had it before.
    """

    def __init__(self, place: Path | None = None, bound: int = VERSIONS_MAX) -> None:
        self._place = place
        self._bound = bound
        self._seen: OrderedDict[tuple[str, int, Reason], Sighting] = OrderedDict()
        self._lost = 0
        self._since = time.time()
        self._lock = threading.Lock()
        self._changed = False
        if place is not None and (before := _read(place)) is not None:
            self._seen.update(
                ((sighting.kid, sighting.phase, sighting.reason), sighting) for sighting in before.sightings
            )
            self._lost, self._since = before.lost, before.since

    def note(self, kid: str, phase: int, reason: Reason, count: int = 1) -> None:
        """So many signatures by this version were accepted, which this phase would refuse."""
        name = (kid, phase, reason)
        with self._lock:
            sighting = self._seen.get(name)
            if sighting is None:
                sighting = self._seen[name] = Sighting(*name)
                if len(self._seen) > self._bound:
                    self._seen.popitem(last=False)
                    self._lost += 1
            else:
                self._seen.move_to_end(name)
            sighting.count += count
            sighting.last = time.time()
            self._changed = True

    def snapshot(self) -> Recent:
        """What this process has seen, as it is now."""
        with self._lock:
            copies = [msgspec.structs.replace(sighting) for sighting in self._seen.values()]
            return Recent(copies, self._lost, self._since)

    def publish(self) -> None:
        """Show the other workers what has changed since the last time; blocks for a moment.

        :raises OSError: the file cannot be written.
        """
        if self._place is None or not self._changed:
            return
        self._changed = False
        fresh = self._place.with_suffix(".new")
        fresh.write_bytes(msgspec.msgpack.encode(self.snapshot()))
        fresh.replace(self._place)

    def everywhere(self) -> Recent:
        """What all workers of this service have seen, the most often seen first; blocks for a moment."""
        parts = [self.snapshot()]
        if self._place is not None:
            others = (path for path in self._place.parent.glob(f"*{self._place.suffix}") if path != self._place)
            parts += [part for path in others if (part := _read(path)) is not None]
        return together(parts)


def _read(place: Path) -> Recent | None:
    try:
        return msgspec.msgpack.decode(place.read_bytes(), type=Recent)
    except (OSError, msgspec.MsgspecError):
        return None


def together(parts: Iterable[Recent]) -> Recent:
    """What several workers have seen, the most often seen first."""
    seen: dict[tuple[str, int, Reason], Sighting] = {}
    lost = 0
    since = 0.0
    for part in parts:
        lost += part.lost
        since = min(since, part.since) if since else part.since
        for sighting in part.sightings:
            name = (sighting.kid, sighting.phase, sighting.reason)
            known = seen.setdefault(name, Sighting(*name))
            known.count += sighting.count
            known.last = max(known.last, sighting.last)
    return Recent(sorted(seen.values(), key=lambda sighting: (-sighting.count, sighting.kid)), lost, since)
